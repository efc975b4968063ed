"""Trains a model on some months, evaluates it on the next one, and registers it in MLflow."""

import importlib.metadata
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flight_delay.months import Split

# The model needs these to be loaded again; inferring them would start a process and take seconds.
_REQUIREMENTS = ("scikit-learn", "pandas", "numpy", "cloudpickle")


class TrainingError(Exception):
    """The training cannot go on; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What to train, and where it is tracked.

    Attributes:
        months: months to train and to evaluate on.
        data: folder or `s3://bucket/prefix` of the Parquet files.
        tracking_uri: MLflow's address.
        experiment: name of the experiment; made if it is not there.
        register_as: name of the registered model.
        tags: tags of the run.
    """

    months: Split
    data: str
    tracking_uri: str
    experiment: str
    register_as: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a training has produced.

    Attributes:
        run_id: MLflow's run.
        model: name of the registered model.
        version: its version.
        metrics: by name, on the evaluation month.
    """

    run_id: str
    model: str
    version: str
    metrics: dict[str, float]


def train(training: Training, say: Callable[[str], None]) -> Result:
    """Run a training.

    Args:
        training: what to do.
        say: told each phase and its seconds.

    Raises:
        DatasetError: the data cannot be read.
        TrainingError: MLflow does not answer, or the months hold no flight that arrived.
    """
    # MLflow reads it at import; a training talks to nobody but its own server.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with _phase("import libraries", say):
        import mlflow  # noqa: PLC0415 - seconds, which a wrong command line must not cost
        import mlflow.sklearn  # noqa: PLC0415

        from flight_delay import dataset, evaluate, features, model  # noqa: PLC0415

    # First, because minutes of training must not end at a server that was never there.
    with _phase("connect to MLflow", say):
        try:
            mlflow.set_tracking_uri(training.tracking_uri)
            mlflow.set_experiment(training.experiment)
        except mlflow.exceptions.MlflowException as error:
            raise TrainingError(
                f"MLflow cannot be used: {error}; check --tracking-uri and --experiment"
            ) from error

    with _phase("read data", say):
        source = dataset.Source(uri=training.data)
        weather = source.read_weather()
        fitting = source.read_flights(training.months.train)
        held_out = source.read_flights((training.months.evaluate,))
        # A cancelled flight has no arrival; whether it would have been late is unknown.
        fitting = fitting[fitting["arr_delay"].notna()]
        held_out = held_out[held_out["arr_delay"].notna()]
        if fitting.empty or held_out.empty:
            raise TrainingError("no flight of these months arrived; choose other months")
        frame, truth = features.build(fitting, weather), features.late(fitting)
        held_frame, held_truth = features.build(held_out, weather), features.late(held_out)

    with _phase(f"train on {len(frame)} flights", say):
        classifier = model.create()
        classifier.fit(frame, truth)

    with _phase(f"evaluate on {len(held_frame)} flights", say):
        probability = classifier.predict_proba(held_frame)[:, 1]
        metrics = evaluate.metrics(held_truth, probability)
        figures = evaluate.plots(classifier, held_frame, held_truth, probability)

    with _phase("log to MLflow", say), mlflow.start_run(tags=training.tags) as run:
        trees = classifier.named_steps["trees"]
        mlflow.log_params(
            {
                "train_months": ",".join(map(str, training.months.train)),
                "evaluate_month": training.months.evaluate,
                "train_flights": len(frame),
                "data": training.data,
                "data_digest": dataset.digest(frame, held_frame),
                "late_minutes": features.LATE_MINUTES,
                **{
                    name: trees.get_params()[name]
                    for name in ("learning_rate", "max_iter", "max_leaf_nodes")
                },
            }
        )
        mlflow.log_metrics(metrics)
        for name, figure in figures.items():
            mlflow.log_figure(figure, f"plots/{name}")
        example = held_frame.head(3)
        logged = mlflow.sklearn.log_model(
            classifier,
            name="model",
            signature=mlflow.models.infer_signature(example, classifier.predict_proba(example)),
            input_example=example,
            # A pipeline of ours, loaded by ours: the pickle never crosses a trust boundary.
            serialization_format="cloudpickle",
            pyfunc_predict_fn="predict_proba",
            pip_requirements=[
                f"{name}=={importlib.metadata.version(name)}" for name in _REQUIREMENTS
            ],
            registered_model_name=training.register_as,
        )
        version = str(logged.registered_model_version)
    return Result(
        run_id=run.info.run_id, model=training.register_as, version=version, metrics=metrics
    )


@contextmanager
def _phase(name: str, say: Callable[[str], None]) -> Iterator[None]:
    start = time.monotonic()
    yield
    say(f"✓ {name} ({time.monotonic() - start:.1f} s)")
