"""Entry point of the Makefile's commands: `python -m mlops_stack up --stack dev`."""

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlops_stack import ambient, environment, report
from mlops_stack.arguments import OneLineParser

if TYPE_CHECKING:
    from mlops_stack.pulumi_cli import Stack

_NOTHING_CHANGED: Final = "nothing was changed"
_GO_ON: Final = "run the same command again to go on"
# They change nothing that an upgrade which has not ended would lose, or end it.
_BESIDE_AN_UPGRADE: Final = frozenset({"upgrade", "down", "preview", "predict", "status"})
# What a user does after Ctrl-C; commands that are not here only read.
_AFTER_INTERRUPTION: Final = {
    "up": f"{_GO_ON}, or `make down` to remove what is there",
    "down": _GO_ON,
    "upgrade": _GO_ON,
    "canary": f"{_GO_ON}, or `make rollback`",
    "promote": _GO_ON,
    "rollback": _GO_ON,
}


def main() -> int:
    """Run a command; return the process's exit code."""
    ambient.apply()
    parser = OneLineParser(prog="mlops_stack", description=__doc__)
    parser.add_argument(
        "command",
        choices=[
            *("up", "preview", "run", "status", "down", "env", "rehearse", "images", "predict"),
            *("canary", "promote", "rollback", "train", "backup", "refresh", "takeover"),
            "upgrade",
        ],
    )
    parser.add_argument("--stack", default="dev", help="name of the stack (default: dev)")
    parser.add_argument(
        "--started", type=float, default=time.time(), help="when the whole command began"
    )
    parser.add_argument("--months", default="", help="training months of a run, as 3 or 1-3")
    parser.add_argument("--framework", default="", help="of a training: pytorch or tensorflow")
    parser.add_argument(
        "assignments", nargs="*", metavar="NAME=VALUE", help="further parameters of a run"
    )
    parser.add_argument(
        "--parameters", default="", help="the same as one text, in which a shell's quotes hold"
    )
    parser.add_argument(
        "--format",
        choices=["text", "markdown", "json"],
        default="text",
        help="how a preview is shown: as Pulumi does, or as a reviewer's summary (default: text)",
    )
    parser.add_argument(
        "--base",
        type=Path,
        help="summary of the target branch's preview (--format json), to compare Markdown with",
    )
    parser.add_argument("--keep", default="", help="what a down exports first: all, models or none")
    parser.add_argument(
        "--keep-to", default="", help="folder that it goes to, or an upgrade's data"
    )
    parser.add_argument(
        "--to", default="", help="folder that a backup goes to; version that an upgrade leads to"
    )
    parser.add_argument("--workload", default="", help="whose model (default: the only one's)")
    parser.add_argument("--rows", default="5", help="how many rows a prediction is of")
    parser.add_argument("--version", default="", help="registered version that a canary is of")
    parser.add_argument("--weight", default="10", help="its share of the requests in percent")
    parser.add_argument("--push", default="", help="registry that images are pushed to")
    parser.add_argument("--restore", type=Path, help="folder of an export that an up begins with")
    parser.add_argument(
        "--replace",
        default="",
        help="resources whose data a lasting stack may lose, separated by commas; * for all",
    )
    parser.add_argument(
        "--check-only",
        action="store_true",
        help="of up, preview and upgrade: only refuse what is given wrongly, and build nothing",
    )
    # Intermixed: parameters come after options.
    arguments = parser.parse_intermixed_args()
    if arguments.command == "env":
        return _env()

    if arguments.command == "rehearse":
        return _rehearse()
    if arguments.command == "images":
        return _images(arguments.stack, arguments.push)

    # Imported after parsing: `env` runs at each shell's start.
    from mlops_infra.kind_cluster import KindError  # noqa: PLC0415
    from mlops_infra.node.errors import NodeError  # noqa: PLC0415
    from mlops_policies.rules import PolicyConfigError  # noqa: PLC0415
    from mlops_stack.backup.errors import ArchiveError, KeepError  # noqa: PLC0415
    from mlops_stack.full_buckets import FullBucketsError  # noqa: PLC0415
    from mlops_stack.lasting import DataLossError  # noqa: PLC0415
    from mlops_stack.locks import BusyError  # noqa: PLC0415
    from mlops_stack.ownership import OwnershipError  # noqa: PLC0415
    from mlops_stack.pulumi_cli import PulumiError, Stack  # noqa: PLC0415
    from mlops_stack.review.summary import BaseError  # noqa: PLC0415
    from mlops_stack.settings import SettingsError, check_stack_name  # noqa: PLC0415

    try:
        check_stack_name(arguments.stack)
        stack = Stack(arguments.stack)
        _refuse_during_upgrade(arguments.command, stack)
        return _run(arguments, stack)
    except (
        *(ArchiveError, BaseError, BusyError, DataLossError, FullBucketsError, KeepError),
        *(KindError, NodeError, OwnershipError, environment.PassphraseError),
        *(PolicyConfigError, PulumiError, SettingsError),
    ) as problem:
        report.error(str(problem))
        return 1
    except KeyboardInterrupt:
        report.error(f"interrupted; {_AFTER_INTERRUPTION.get(arguments.command, _NOTHING_CHANGED)}")
        return 130


def _assignments(arguments: argparse.Namespace) -> list[str]:
    """Return the parameters of a run, each as NAME=VALUE."""
    try:
        return [*arguments.assignments, *shlex.split(arguments.parameters)]
    except ValueError as error:
        from mlops_stack.parameters import AssignmentError  # noqa: PLC0415

        raise AssignmentError(f"PARAMETERS={arguments.parameters}: {error}") from error


def _env() -> int:
    try:
        print(environment.shell_exports())
    except environment.PassphraseError as problem:
        report.error(str(problem))
        return 1
    return 0


def _rehearse() -> int:
    from mlops_infra.node.errors import NodeError  # noqa: PLC0415
    from mlops_stack.pulumi_cli import PulumiError  # noqa: PLC0415
    from mlops_stack.rehearsal.command import rehearse  # noqa: PLC0415
    from mlops_stack.rehearsal.errors import RehearsalError  # noqa: PLC0415

    try:
        rehearse()
    except (NodeError, PulumiError, RehearsalError) as problem:
        report.error(str(problem))
        return 1
    return 0


def _images(stack: str, push: str) -> int:
    from mlops_stack import composition  # noqa: PLC0415
    from mlops_stack.pulumi_cli import PulumiError, Stack  # noqa: PLC0415
    from mlops_stack.push import PushError  # noqa: PLC0415
    from mlops_stack.push import push as send  # noqa: PLC0415
    from mlops_stack.settings import SettingsError  # noqa: PLC0415
    from mlops_toolchain.errors import ToolchainError  # noqa: PLC0415

    try:
        send(push, composition.images(Stack(stack).settings()))
    except (PulumiError, PushError, SettingsError, ToolchainError) as problem:
        report.error(str(problem))
        return 1
    except KeyboardInterrupt:
        report.error("interrupted; run the same command again, and it goes on where it was")
        return 130
    return 0


def _refuse_during_upgrade(command: str, stack: "Stack") -> None:
    if command not in _BESIDE_AN_UPGRADE:
        from mlops_stack.upgrading import record  # noqa: PLC0415

        record.refuse_meanwhile(stack.name, stack.make_argument)


def _run(arguments: argparse.Namespace, stack: "Stack") -> int:
    done = True
    if arguments.check_only:
        _check(stack, arguments)
        return 0
    match arguments.command:
        case "up":
            done = _up(stack, arguments)
        case "preview":
            from mlops_stack.review.command import preview  # noqa: PLC0415

            done = preview(stack, form=arguments.format, base=arguments.base)
        case "run":
            from mlops_stack.run import run  # noqa: PLC0415

            run(
                stack,
                workload=arguments.workload,
                months=arguments.months,
                assignments=_assignments(arguments),
            )
        case "train":
            from mlops_stack.train import train  # noqa: PLC0415

            train(
                stack,
                framework=arguments.framework,
                training_months=arguments.months,
                assignments=_assignments(arguments),
            )
        case "predict":
            from mlops_stack.predict import predict  # noqa: PLC0415

            predict(stack, workload=arguments.workload, rows=arguments.rows)
        case "status":
            from mlops_stack.status import status  # noqa: PLC0415

            done = status(stack)
        case "down":
            done = _down(stack, arguments)
        case "backup":
            _backup(stack, arguments.to)
        case "upgrade":
            _upgrade(stack, arguments)
        case "refresh" | "takeover":
            _read_anew(stack, arguments.command)
        case _:
            _serve(stack, arguments)
    return 0 if done else 1


def _check(stack: "Stack", arguments: argparse.Namespace) -> None:
    from mlops_stack import checks  # noqa: PLC0415

    if arguments.command == "preview":
        checks.preview(stack, base=arguments.base)
    elif arguments.command == "upgrade":
        checks.upgrade(stack, to=arguments.to)
    else:
        checks.up(stack, restore=arguments.restore)


def _serve(stack: "Stack", arguments: argparse.Namespace) -> None:
    from mlops_stack.canary import canary, promote, rollback  # noqa: PLC0415
    from mlops_stack.locks import stack_lock  # noqa: PLC0415

    with stack_lock(stack.name, f"make {arguments.command}"):
        match arguments.command:
            case "canary":
                canary(
                    stack,
                    workload=arguments.workload,
                    version=arguments.version,
                    weight=arguments.weight,
                )
            case "promote":
                promote(stack, workload=arguments.workload)
            case _:
                rollback(stack, workload=arguments.workload)


def _read_anew(stack: "Stack", command: str) -> None:
    if command == "refresh":
        from mlops_stack.refresh import refresh  # noqa: PLC0415

        refresh(stack)
        return
    from mlops_stack.locks import stack_lock  # noqa: PLC0415
    from mlops_stack.ownership import take_over  # noqa: PLC0415

    with stack_lock(stack.name, "make takeover"):
        take_over(stack)


def _up(stack: "Stack", arguments: argparse.Namespace) -> bool:
    from mlops_stack.environments import records, smoke_test  # noqa: PLC0415
    from mlops_stack.locks import stack_lock  # noqa: PLC0415
    from mlops_stack.pulumi_cli import PulumiError  # noqa: PLC0415
    from mlops_stack.up import up  # noqa: PLC0415

    with stack_lock(stack.name, "make up"):
        try:
            up(
                stack,
                started=arguments.started,
                restore=arguments.restore,
                replace=arguments.replace,
            )
        except PulumiError:
            _show_way_in(stack)
            raise
        if not stack.from_template or not records.read(stack.name):
            return True
        # Its start may have failed, or a reaping that somebody changed their mind about.
        healthy = smoke_test.smoke_test(stack, stack.settings())
        records.write(stack, state="up" if healthy else "failed")
        return healthy


def _show_way_in(stack: "Stack") -> None:
    """Print how to look into the embedded cluster of an update that failed: it has no outputs."""
    from mlops_infra.node import cluster  # noqa: PLC0415

    info = cluster.read(stack.name).info
    if info is not None and stack.settings().cluster_provider == "embedded":
        report.plain(
            f"look into the cluster: . ./env.sh; kubectl --kubeconfig {info.kubeconfig_path} "
            "get pods --all-namespaces"
        )


def _backup(stack: "Stack", to: str) -> None:
    from mlops_stack.backup import policy  # noqa: PLC0415
    from mlops_stack.backup.export import backup  # noqa: PLC0415
    from mlops_stack.locks import stack_lock  # noqa: PLC0415

    with stack_lock(stack.name, "make backup"):
        stack.outputs_when_up()
        backup(stack, policy.folder(stack.name, to))


def _upgrade(stack: "Stack", arguments: argparse.Namespace) -> None:
    from mlops_stack.locks import stack_lock  # noqa: PLC0415
    from mlops_stack.upgrading.command import upgrade  # noqa: PLC0415

    with stack_lock(stack.name, "make upgrade"):
        upgrade(stack, started=arguments.started, to=arguments.to, keep_to=arguments.keep_to)


def _down(stack: "Stack", arguments: argparse.Namespace) -> bool:
    from mlops_stack.backup import policy  # noqa: PLC0415
    from mlops_stack.down import down  # noqa: PLC0415
    from mlops_stack.environments import records  # noqa: PLC0415
    from mlops_stack.locks import stack_lock  # noqa: PLC0415

    with stack_lock(stack.name, "make down"):
        # An environment's tag stands above its template's setting.
        known = records.read(stack.name) if stack.exists() else None
        own = known.keep if known else ""
        kept = policy.choose(arguments.keep, own, stack.settings().keep)
        exported = policy.export(stack.name, kept, arguments.keep_to)
        return down(stack, keep=exported, replace=arguments.replace)


if __name__ == "__main__":
    sys.exit(main())
