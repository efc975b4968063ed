"""`python -m mlops_toolchain COMMAND`.

build [--hurry] [--for COMMAND] [--dry-run] [--kubernetes VERSION] [NAME …] | status [--json] |
prune [--build-caches] | push [NAME …]
"""

import argparse
import os
import signal
import sys
import time

from mlops_toolchain import kubernetes, view
from mlops_toolchain.commands import READ_BY
from mlops_toolchain.errors import ToolchainError


def main() -> int:
    """Run a command; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="mlops_toolchain", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="obtain what is missing")
    build.add_argument("names", nargs="*", help="artefacts (default: all)")
    build.add_argument(
        "--hurry",
        action="store_true",
        help="leave out optional ones that take longer than the rest",
    )
    build.add_argument(
        "--for",
        dest="command_to_run",
        choices=sorted(READ_BY),
        help="only what this command of the Makefile reads",
    )
    build.add_argument("--dry-run", action="store_true", help="list it, and obtain nothing")
    build.add_argument(
        "--kubernetes",
        default="",
        metavar="VERSION",
        help="also what a node of that version needs, if it is not the default one",
    )
    status = commands.add_parser("status", help="what is there")
    status.add_argument("--json", action="store_true")
    prune = commands.add_parser("prune", help="remove results that are no longer wanted")
    prune.add_argument("--build-caches", action="store_true", help="Go's and npm's caches too")
    push = commands.add_parser("push", help="give the shared cache what is built here")
    push.add_argument("names", nargs="*", help="artefacts (default: all)")
    arguments = parser.parse_args()
    # Commands run in process groups of their own: whatever ends this process must end them too.
    # What nohup has ignored stays ignored.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        if arguments.command == "build":
            beside = kubernetes.artefact_names(arguments.kubernetes)
            names = [*arguments.names, *READ_BY.get(arguments.command_to_run, ())]
            if arguments.dry_run:
                _list([*names, *(beside if names else ())], in_a_hurry=arguments.hurry)
                return 0
            _build(names, in_a_hurry=arguments.hurry)
            if beside:
                _build(list(beside), in_a_hurry=False)
        elif arguments.command == "status":
            from mlops_toolchain.status import show  # noqa: PLC0415

            show(as_json=arguments.json)
        elif arguments.command == "push":
            from mlops_toolchain.engine import named  # noqa: PLC0415
            from mlops_toolchain.shared_cache.push import push as send  # noqa: PLC0415

            send(named(arguments.names))
        else:
            from mlops_toolchain.prune import prune as remove  # noqa: PLC0415

            remove(build_caches=arguments.build_caches)
    except ToolchainError as error:
        print(f"✗ toolchain\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("✗ toolchain interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _list(names: list[str], *, in_a_hurry: bool) -> None:
    from mlops_toolchain import engine  # noqa: PLC0415
    from mlops_toolchain.progress import estimate  # noqa: PLC0415

    absent = engine.wanted(names, in_a_hurry=in_a_hurry)
    for artefact in absent:
        print(f"{artefact.name} {artefact.version}")
    print(f"{len(absent)} to obtain, about {estimate(absent) / 60:.0f} min if all are built")


def _build(names: list[str], *, in_a_hurry: bool) -> None:
    from mlops_toolchain import engine, host_packages  # noqa: PLC0415
    from mlops_toolchain.build import is_built, record  # noqa: PLC0415
    from mlops_toolchain.progress import LiveProgress, PlainProgress  # noqa: PLC0415

    start = time.monotonic()
    host_packages.ensure()
    live = sys.stdout.isatty() and not os.environ.get("CI")
    progress = LiveProgress() if live else PlainProgress()
    obtained = engine.ensure(names, progress, in_a_hurry=in_a_hurry)
    wanted = engine.closure(names)
    there = [artefact for artefact in wanted if is_built(artefact)]
    if names:
        view.link_only(there)
        view.add_plugins()
    else:
        view.refresh(there)
    seconds = time.monotonic() - start
    left_out = sorted(artefact.name for artefact in engine.missing(names) if artefact.optional)
    rest = "the rest was there"
    if left_out:
        rest = f"`make toolchain` would add {', '.join(left_out)}"
    transfers = [size for a in obtained if (size := record(a).get("fetched_bytes")) is not None]
    fetched = f"{len(transfers)} fetched ({sum(transfers) / 2**20:.0f} MiB), " if transfers else ""
    built = len(obtained) - len(transfers)
    print(f"✓ toolchain: {fetched}{built} built, {rest} ({seconds:.1f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
