"""`make env`: an environment from a template, up and tested."""

import contextlib
import datetime
import socket
import time
from pathlib import Path

from mlops_stack import ownership, report
from mlops_stack.backup import archive, policy
from mlops_stack.environments import records
from mlops_stack.environments.smoke_test import smoke_test
from mlops_stack.environments.templates import refuse_lasting, template_settings
from mlops_stack.kubernetes_version import artefact_names, wanted_version
from mlops_stack.lifetime import check_name, parse_ttl
from mlops_stack.locks import stack_lock
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.settings import Settings, SettingsError
from mlops_stack.up import check_restore, up


def check(
    name: str, ttl: str, template: str, *, keep: str = "", restore: Path | None = None
) -> Settings:
    """Refuse what cannot make an environment, and return the template's settings.

    Needs neither the toolchain nor a cluster. The arguments are those of `create`.

    Raises:
        SettingsError: name, time to live, template or what to keep is refused.
        ArchiveError: the export is refused.
    """
    check_name(name)
    parse_ttl(ttl)
    settings = template_settings(template)
    policy.choose(keep, settings.keep)
    refuse_lasting(name)
    if settings.cluster_provider == "embedded":
        artefact_names(wanted_version(name, settings))
    check_restore(settings, archive.look(restore) if restore else None)
    return settings


def create(
    name: str, ttl: str, template: str, *, keep: str = "", restore: Path | None = None
) -> bool:
    """Bring an environment up and test it; return whether the smoke test passes.

    Args:
        name: its name.
        ttl: how long it lives, for example 4h.
        template: the stack whose file configures it.
        keep: what is exported before it is destroyed; empty for what the template says.
        restore: folder of an export to begin with.

    Raises:
        SettingsError: name, time to live, template or what to keep is refused; nothing was changed.
        ArchiveError: the export is refused; nothing was changed.
        KeepError: the export could not be imported.
        OwnershipError: a cluster of that name belongs to somebody else; nothing was changed.
        PulumiError: Pulumi failed; the environment stays listed, and expires all the same.
        BusyError: another command works on it.
    """
    started = time.time()
    settings = check(name, ttl, template, keep=keep, restore=restore)
    lifetime, kept = parse_ttl(ttl), policy.choose(keep, settings.keep)
    check_restore(settings, archive.read(restore) if restore else None)
    with stack_lock(name, "make env"):
        stack = Stack(name, template=template)
        if stack.exists():
            raise SettingsError(
                f"stack {name} exists already; choose another NAME, or `make down STACK={name}`"
            )
        ownership.check(stack)
        stack.ensure()
        expires = started + lifetime.total_seconds()
        records.write(
            stack,
            # First: whatever is interrupted after it is reaped.
            expires=f"{expires:.0f}",
            created=f"{started:.0f}",
            provider=settings.cluster_provider,
            template=template,
            keep=kept,
            host=socket.gethostname(),
            state="creating",
        )
        healthy = False
        try:
            up(stack, started=started, restore=restore)
            healthy = smoke_test(stack, settings)
        finally:
            with contextlib.suppress(PulumiError):  # what went wrong first is what counts
                records.write(stack, state="up" if healthy else "failed")
    end = datetime.datetime.fromtimestamp(expires, datetime.UTC)
    report.plain(f"expires {end:%Y-%m-%d %H:%M} UTC; `make reap` then destroys it")
    return healthy
