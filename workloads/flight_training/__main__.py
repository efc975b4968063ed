"""One worker of a training: `python -m flight_training --framework pytorch --data s3://…`."""

import argparse
import importlib
import json
import sys
import time
from dataclasses import asdict

import numpy as np

from flight_delay import evaluate, months, tracking
from flight_delay.dataset import DatasetError, digest
from flight_delay.deploy import register
from flight_delay.months import MonthsError
from flight_delay.preprocess import NoFlightsError, read, split
from flight_delay.train import log
from flight_training import classifier, columns
from flight_training.errors import TrainingError
from flight_training.settings import parse
from flight_training.share import share


def main() -> int:
    """Train, and as the first worker track the model; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="flight_training", description=__doc__)
    parser.add_argument("--framework", choices=["pytorch", "tensorflow"], required=True)
    parser.add_argument("--data", required=True, help="folder or s3://bucket/prefix of the flights")
    parser.add_argument("--training-months", required=True, help="as 3 or 1-3")
    parser.add_argument(
        "--evaluation-month", type=int, help="1 to 12: judge and register; without, only track"
    )
    parser.add_argument("--model-name", required=True, help="registered model of the new version")
    parser.add_argument("--job", required=True, help="name of the job, noted with the run")
    parser.add_argument(
        "--settings", type=json.loads, default={}, help="hyperparameters as a JSON object"
    )
    arguments = parser.parse_args()
    try:
        _work(arguments)
    except (
        *(DatasetError, MonthsError, NoFlightsError, TrainingError),
        tracking.TrackingError,
    ) as problem:
        print(f"✗ {problem}", file=sys.stderr)
        return 1
    return 0


def _work(arguments: argparse.Namespace) -> None:
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {line}", flush=True)

    settings = parse(arguments.settings)
    # Each image has one of them.
    framework = importlib.import_module(f"flight_training.{arguments.framework}")
    worker, workers = framework.place()
    if worker == 0:
        # First, because minutes of training must not end at a server that was never there.
        tracking.connect(arguments.model_name)
    training = read(months.parse(arguments.training_months).train, data=arguments.data)
    frame, truth = split(training)
    encoder = columns.encoder()
    inputs = encoder.fit_transform(frame).astype(np.float32)
    own = share(len(frame), worker=worker, workers=workers)
    say(f"worker {worker + 1} of {workers}: {len(own)} of {len(frame)} flights")
    layers = framework.fit(inputs[own], truth.to_numpy(np.float32)[own], settings, say)
    if worker != 0:
        return
    model = classifier.pipeline(encoder, layers)
    metrics: dict[str, float] = {}
    if arguments.evaluation_month is not None:
        unseen, outcome = split(read((arguments.evaluation_month,), data=arguments.data))
        metrics = evaluate.metrics(outcome, model.predict_proba(unseen)[:, 1])
    run_id = log(
        model,
        frame.head(3),
        experiment=arguments.model_name,
        parameters={
            "framework": arguments.framework,
            "workers": workers,
            "train_months": arguments.training_months,
            "train_flights": len(frame),
            "data_digest": digest(training),
            **asdict(settings),
        },
        metrics=metrics,
        tags={"training_job": arguments.job},
    )
    if not metrics:
        say(f"run {run_id} of {arguments.model_name}")
        return
    version = register(run_id=run_id, model_name=arguments.model_name)
    tracking.connect().MlflowClient().set_tag(run_id, "registered_version", version)
    say(f"roc_auc {metrics['roc_auc']:.4f}, version {version} of {arguments.model_name}")


if __name__ == "__main__":
    sys.exit(main())
