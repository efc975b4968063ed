"""`make env`, `make envs`, `make reap`."""

import sys
from pathlib import Path

from mlops_infra.kind_cluster import KindError
from mlops_infra.node.errors import NodeError
from mlops_policies.rules import PolicyConfigError
from mlops_stack import ambient, report
from mlops_stack.arguments import OneLineParser
from mlops_stack.backup.errors import ArchiveError, KeepError
from mlops_stack.environment import PassphraseError
from mlops_stack.environments import creation, listing, reaping
from mlops_stack.lasting import DataLossError
from mlops_stack.locks import BusyError
from mlops_stack.ownership import OwnershipError
from mlops_stack.pulumi_cli import PulumiError
from mlops_stack.settings import SettingsError


def main() -> int:
    """Run a command; return the process's exit code."""
    ambient.apply()
    parser = OneLineParser(prog="mlops_stack.environments", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("create")
    making.add_argument("--name", required=True)
    making.add_argument("--ttl", required=True)
    making.add_argument("--template", default="dev")
    making.add_argument("--keep", default="", help="what to export before it is destroyed")
    making.add_argument("--restore", type=Path, help="folder of an export to begin with")
    making.add_argument("--check-only", action="store_true", help="only refuse what is wrong")
    commands.add_parser("list").add_argument("--format", default="text", choices=["text", "json"])
    commands.add_parser("reap").add_argument("--keep", default="", help="what to export first")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "create" if arguments.check_only:
                creation.check(
                    arguments.name,
                    arguments.ttl,
                    arguments.template,
                    keep=arguments.keep,
                    restore=arguments.restore,
                )
                done = True
            case "create":
                done = creation.create(
                    arguments.name,
                    arguments.ttl,
                    arguments.template,
                    keep=arguments.keep,
                    restore=arguments.restore,
                )
            case "list":
                done = listing.show(as_json=arguments.format == "json")
            case _:
                done = reaping.reap(keep=arguments.keep)
    except (
        *(ArchiveError, BusyError, DataLossError, KeepError, KindError, NodeError),
        *(OwnershipError, PassphraseError, PolicyConfigError, PulumiError, SettingsError),
    ) as problem:
        report.error(str(problem))
        return 1
    except KeyboardInterrupt:
        report.error("interrupted; `make envs` shows the state, `make reap` destroys what expired")
        return 130
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
