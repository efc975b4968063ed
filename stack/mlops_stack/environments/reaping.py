"""`make reap`: what has expired is destroyed."""

import contextlib

from mlops_infra.kind_cluster import KindError
from mlops_infra.node.errors import NodeError
from mlops_stack import ownership, report
from mlops_stack.backup import policy
from mlops_stack.backup.errors import ArchiveError, KeepError
from mlops_stack.down import down
from mlops_stack.environments import records
from mlops_stack.environments.records import Environment
from mlops_stack.environments.templates import refuse_lasting, template_settings
from mlops_stack.full_buckets import FullBucketsError
from mlops_stack.locks import BusyError, stack_lock
from mlops_stack.ownership import OwnershipError
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.settings import SettingsError


def reap(*, keep: str = "") -> bool:
    """Destroy what has expired; return whether nothing of it resists and all could be read.

    Args:
        keep: what to export of each first; empty for what was said when it was made.

    Raises:
        PulumiError: the backend does not answer.
        SettingsError: there is no such thing to keep; nothing was changed.
    """
    policy.choose(keep)
    resisting = 0
    known = records.found()
    for environment in known:
        if environment.problem:
            report.error(environment.problem)
    for expired in [environment for environment in known if environment.expired]:
        try:
            _reap(expired, keep)
        except BusyError as problem:
            report.plain(f"• {problem}")
        except (
            *(PulumiError, SettingsError, ArchiveError, KeepError, NodeError, FullBucketsError),
            *(KindError, OwnershipError, OSError, RuntimeError),
        ) as problem:
            resisting += 1
            report.error(f"{expired.name} resists: {problem}; `make reap` tries it again")
    report.plain(f"environments that resist: {resisting}")
    return not resisting and not any(environment.problem for environment in known)


def _reap(expired: Environment, keep: str) -> None:
    if not expired.here:
        report.plain(f"• {expired.name} lives on {expired.host}; run `make reap` there")
        return
    refuse_lasting(expired.name)
    with stack_lock(expired.name, "make reap"):
        # Read again: another reaper may have destroyed it, and somebody made a new one since.
        current = records.read(expired.name)
        if current is None or not current.expired:
            return
        stack = Stack(current.name, template=current.template)
        # Before the tag: an environment whose cluster is somebody else's stays as it is.
        ownership.check(stack)
        records.write(stack, state="reaping")
        try:
            settings = template_settings(current.template)
            with report.phase(f"reap {current.name}"):
                export = policy.export(stack.name, policy.choose(keep, current.keep, settings.keep))
                if not down(stack, keep=export):
                    raise PulumiError("something is left, see above")
        except BaseException:
            with contextlib.suppress(PulumiError):
                records.write(stack, state="failed")
            raise
