"""`make up`: from whatever there is to a stack that answers."""

import time
from pathlib import Path

from mlops_stack import (
    gone,
    lasting,
    ownership,
    report,
    serving_state,
    stack_images,
    volume_sizes,
    workload_choice,
)
from mlops_stack.backup import archive, at_rest
from mlops_stack.backup.archive import Archive, Manifest
from mlops_stack.kubernetes_version import build_for
from mlops_stack.outputs import StackOutputs
from mlops_stack.predict import ask, lines
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.review import plan
from mlops_stack.settings import Settings, SettingsError
from mlops_stack.status import rows

# What would make the pipeline run before its models are there.
_AT_REST = {"pipelineRun": "false", "pipelineSchedule": ""}


def up(stack: Stack, *, started: float, restore: Path | None = None, replace: str = "") -> None:
    """Bring the stack up and print where everything is.

    Args:
        stack: the stack.
        started: `time.time()` of the command's start, toolchain included.
        restore: folder of an export, whose data is there before the pipeline runs.
        replace: names of resources whose data a lasting stack may lose, separated by commas.

    Raises:
        AwsAccountError: the credentials lead to another AWS account than the stack's.
        ArchiveError: the export is refused; nothing was changed.
        DataLossError: data of a lasting stack would be lost; nothing was changed.
        KeepError: the export could not be imported.
        OwnershipError: the stack's cluster belongs to somebody else; nothing was changed.
        PredictError: everything is up, but a model server does not answer.
        PulumiError: Pulumi failed; it has said why.
        RepairError: what MLflow's registry says does not serve.
        StackImagesError: an image that the stack needs could not be built.
        SettingsError: the stack's configuration is wrong, or has no place for an export, or its
            cluster's Kubernetes cannot be built.
    """
    settings, unfinished = stack.settings(), True
    build_for(stack.name, settings)
    ownership.check(stack)
    if (region := stack.aws_region()) and stack.exists():
        # Imported here: only stacks on AWS need its SDK.
        from mlops_stack.aws_data import check_account  # noqa: PLC0415

        check_account(stack, region)
    if stack.exists():
        volume_sizes.check(
            settings,
            stack.resources(),
            kubeconfig=lambda: str(stack.outputs().get("kubeconfig") or ""),
            context=settings.kube_context,
        )
    kept = archive.read(restore) if restore else None
    check_restore(settings, kept)
    stack_images.build_for(stack, settings)
    gone.drop(stack, allowed=lasting.names(replace))
    if kept:
        restored(stack, *kept)
        # An import of Kubeflow's database leaves out what the program has in it.
        unfinished = bool(kept[1].kubeflow or settings.pipeline_run or settings.pipeline_schedule)
    if unfinished:
        if not settings.ephemeral and stack.resources():
            _plan(stack, replace)
        with report.phase(f"pulumi up, stack {stack.name}"):
            update(stack, **({"replace": replace} if replace else {}))
    report.plain("")
    outputs = StackOutputs.read(stack.outputs())
    at_rest.resume_after_a_kill(stack.name, outputs.kubeconfig)
    report.table(rows(stack.name, outputs))
    serves = bool(outputs.gateway_url)
    if serves:
        report.plain("")
        serving_state.repair(outputs)
        for workload, has in workload_choice.all_of(outputs):
            for line in lines(workload, ask(workload, has, 1)):
                report.plain(f"  {line}")
    again = (
        f"make run{stack.make_argument} MONTHS=1-6",
        "train on other months, against the champion",
    )
    report.plain("")
    report.plain(f"Up in {time.time() - started:.0f} s. Next:")
    report.table(
        [
            *([again] if settings.layers == "all" else []),
            *([(f"make predict{stack.make_argument}", "ask for more flights")] if serves else []),
            (f"make status{stack.make_argument}", "whether everything still answers"),
            (f"make preview{stack.make_argument}", "what a change would do"),
            (f"make down{stack.make_argument}", "destroy all of it, and prove it"),
        ]
    )


def check_restore(settings: Settings, kept: tuple[Archive, Manifest] | None) -> None:
    """Refuse an export that a stack so configured cannot take.

    Raises:
        ArchiveError: the pinned MLflow server cannot read it.
        SettingsError: the stack has no MLflow server.
    """
    if kept is None:
        return
    if settings.layers != "all":
        raise SettingsError(
            f"RESTORE={kept[0].folder} needs a stack with MLflow, and layers is {settings.layers}"
        )
    # Imported here: only an import needs it.
    from mlops_stack.backup.restore import check_revision  # noqa: PLC0415

    check_revision(kept[1])


def restored(
    stack: Stack, kept: Archive, manifest: Manifest, *, again: bool = False, **values: str
) -> None:
    """Bring up a stack whose pipeline has not run, with the data of an export.

    Args:
        stack: the stack.
        kept: the export.
        manifest: what it holds.
        again: whether what the stack holds is known to come from this export.
        values: settings that differ from the stack's file until the next update.

    Raises:
        ArchiveError: the export's MLflow database cannot be brought up to date.
        KeepError: the export could not be imported.
        PulumiError: Pulumi failed, or the stack has models of its own.
    """
    if not again and stack.exists() and stack.outputs().get("model_version"):
        raise PulumiError(
            f"stack {stack.name} has models of its own, which an import would replace; "
            "restore into a new stack"
        )
    from mlops_stack.backup.restore import restore, up_to_date  # noqa: PLC0415

    with up_to_date(kept, manifest) as database:
        with report.phase(f"pulumi up without a run, stack {stack.name}"):
            update(stack, **_AT_REST, **values)
        restore(stack, kept, manifest, database, again=again)


def _plan(stack: Stack, replace: str) -> None:
    """Refuse an update that would take data of a lasting stack away.

    Raises:
        DataLossError: it would; nothing was changed.
        PulumiError: the update could not be planned.
    """
    with report.phase(f"planning, stack {stack.name}"):
        # With nothing protected: the engine would stop at the first loss, and not say why.
        stack.ensure(replace=lasting.EVERYTHING, **stack_images.configuration(stack))
        found = stack.preview_events()
    planned = plan.read(stack.name, found.events)
    if not found.succeeded and not lasting.only_protected(planned.errors):
        raise PulumiError("; ".join(planned.errors) or "the update could not be planned")
    lasting.refuse_loss(stack, planned, allowed=lasting.names(replace))


def update(stack: Stack, **values: str) -> None:
    """Let Pulumi update a stack, with the project's policies.

    Args:
        stack: the stack.
        values: settings that differ from the stack's file until the next update.

    Raises:
        PulumiError: Pulumi failed; it has said why.
        SettingsError: the stack's configuration is wrong.
    """
    stack.ensure(**stack_images.configuration(stack), **values)
    # Policies judge each resource before it is made. A preview of a cluster that is half made
    # tells nothing that the update does not, and costs as long as an update without changes.
    stack.run("up", "--yes", "--skip-preview", *stack.policies())
