"""What a user gives wrongly, refused before the toolchain builds anything for it.

These need no program of the toolchain's, no cluster, and a few seconds. The commands look at all of
it again, with what they alone can see.
"""

import shutil
from pathlib import Path

from mlops_stack import environment, report
from mlops_stack.backup import archive
from mlops_stack.kubernetes_version import artefact_names, wanted_version
from mlops_stack.pulumi_cli import Stack, settings_in
from mlops_stack.settings import Settings
from mlops_stack.up import check_restore
from mlops_stack.upgrading import record, versions


def up(stack: Stack, *, restore: Path | None = None) -> None:
    """Refuse what `make up` would refuse of a stack's configuration and of an export.

    Raises:
        ArchiveError: the export is refused.
        PulumiError: an environment's template is not in this checkout.
        SettingsError: the configuration is wrong, or has no place for the export.
    """
    settings = _settings(stack)
    if notice := settings.notice():
        report.note(f"! {notice}")
    if settings.cluster_provider == "embedded":
        artefact_names(wanted_version(stack.name, settings))
    check_restore(settings, archive.look(restore) if restore else None)


def preview(stack: Stack, *, base: Path | None = None) -> None:
    """Refuse what `make preview` would refuse of a stack's configuration and of a base.

    Raises:
        BaseError: the base is no summary of a preview.
        PulumiError: an environment's template is not in this checkout.
        SettingsError: the configuration is wrong.
    """
    up(stack)
    if base is not None:
        # Imported here: only a page for reviewers is compared.
        from mlops_stack.review.summary import read_base  # noqa: PLC0415

        read_base(base)


def upgrade(stack: Stack, *, to: str = "") -> None:
    """Refuse a version that `make upgrade` would refuse; one that has begun is gone on with.

    Raises:
        PulumiError: an environment's template is not in this checkout.
        SettingsError: the configuration is wrong, or the cluster is not to get that version.
    """
    settings = _settings(stack)
    versions.check_provider(stack, settings.cluster_provider)
    if record.read(stack.name) is None:
        versions.choose(stack, settings, to)


def _settings(stack: Stack) -> Settings:
    # Which template configures an environment, its tag in the backend says.
    if shutil.which("pulumi", path=environment.variables()["PATH"]):
        return stack.settings()
    return settings_in(stack.own_file)
