"""`python -m flight_delay train --months 1-3 --data FOLDER --tracking-uri URL`."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from flight_delay import months
from flight_delay.train import Training, TrainingError, train


def _tag(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def main() -> int:
    """Run the command; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="flight_delay", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("train", help="train, evaluate and register a model")
    command.add_argument("--months", required=True, help="month or range of 2013, as 3 or 1-3")
    command.add_argument("--data", required=True, help="folder or s3://bucket/prefix")
    command.add_argument("--tracking-uri", required=True, help="address of MLflow")
    command.add_argument("--experiment", default="flight-delay")
    command.add_argument("--register-as", default="flight-delay", metavar="NAME")
    command.add_argument("--tag", type=_tag, action="append", default=[], metavar="NAME=VALUE")
    command.add_argument("--result", type=Path, help="file for the result as JSON")
    arguments = parser.parse_args()
    try:
        training = Training(
            months=months.parse(arguments.months),
            data=arguments.data,
            tracking_uri=arguments.tracking_uri,
            experiment=arguments.experiment,
            register_as=arguments.register_as,
            tags=dict(arguments.tag),
        )
        from flight_delay.dataset import DatasetError  # noqa: PLC0415 - after the cheap checks

        try:
            result = train(training, lambda text: print(text, flush=True))
        except DatasetError as error:
            raise TrainingError(str(error)) from error
    except (months.MonthsError, TrainingError) as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    text = json.dumps(dataclasses.asdict(result))
    print(text)
    if arguments.result:
        arguments.result.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
