"""Embedded clusters by a plain command: `python -m mlops_infra.node up|status|down|…`."""

import argparse
import os
import sys
from pathlib import Path

from mlops_infra.node import cluster
from mlops_infra.node.errors import NodeError
from mlops_infra.node.leftovers import leftovers
from mlops_infra.node.spec import AUTO_NETWORK, AUTO_VERSION, NodeSpec
from mlops_infra.node.state import cluster_names
from mlops_toolchain import layout


def main(argv: list[str]) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except NodeError as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mlops_infra.node", description=__doc__)
    commands = parser.add_subparsers(required=True)
    up = commands.add_parser("up", help="create the cluster, or start it again")
    up.add_argument("name")
    up.add_argument("--kubernetes-version", default=AUTO_VERSION)
    up.add_argument("--network", default=AUTO_NETWORK, help="such as 10.210.0.0/16")
    up.add_argument("--reserved-memory", default="0", help="such as 512Mi")
    up.add_argument("--reserved-cpu", default="0", help="such as 250m")
    up.add_argument("--image", action="append", default=[], help="image to have in the node")
    up.add_argument("--kubeconfig", type=Path, help="file to write the kubeconfig to (mode 0600)")
    up.set_defaults(run=_up)
    status = commands.add_parser("status", help="how a cluster is, or all of them")
    status.add_argument("name", nargs="?")
    status.set_defaults(run=_status)
    adopt = commands.add_parser(
        "adopt", help="take a cluster over: of another checkout, or whose record is lost"
    )
    adopt.add_argument("name")
    adopt.set_defaults(run=_adopt)
    down = commands.add_parser("down", help="delete the cluster and its data")
    down.add_argument("name")
    down.set_defaults(run=_down)
    left = commands.add_parser("leftovers", help="what is on this machine of clusters")
    left.add_argument("name", nargs="?")
    left.set_defaults(run=_leftovers)
    return parser


def _progress(phase: str, seconds: float) -> None:
    print(f"✓ {phase} {seconds:.1f} s", flush=True)


def _up(options: argparse.Namespace) -> int:
    spec = NodeSpec(
        name=options.name,
        kubernetes_version=options.kubernetes_version,
        network=options.network,
        reserved_memory=options.reserved_memory,
        reserved_cpu=options.reserved_cpu,
        images=tuple(options.image),
    )
    info = cluster.create(spec, progress=_progress)
    print(f"{info.name} is ready at {info.api_url}")
    if options.kubeconfig:
        descriptor = os.open(options.kubeconfig, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(info.kubeconfig)
        print(f"next: kubectl --kubeconfig {options.kubeconfig} get pods --all-namespaces")
    else:
        print(f"next: kubectl --kubeconfig {info.kubeconfig_path} get pods --all-namespaces")
    return 0


def _status(options: argparse.Namespace) -> int:
    names = (options.name,) if options.name else cluster_names()
    if not names:
        print("no clusters on this machine")
    for name in names:
        status = cluster.read(name)
        print(f"{name}: {status.health}{_colon(status.reasons)}")
    return 0


def _colon(reasons: tuple[str, ...]) -> str:
    return f" ({'; '.join(reasons)})" if reasons else ""


def _adopt(options: argparse.Namespace) -> int:
    owner = str(layout.checkout())
    record = cluster.adopt(options.name, owner=owner)
    print(f"{options.name} belongs to the checkout {owner} now; its network is {record.network}")
    print("next: `make up` with its stack's name, or `python -m mlops_infra.node up`")
    return 0


def _down(options: argparse.Namespace) -> int:
    cluster.delete(options.name, progress=_progress)
    return _leftovers(options)


def _leftovers(options: argparse.Namespace) -> int:
    left = leftovers(options.name)
    for thing in left:
        print(thing)
    print(f"leftovers: {len(left)}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
