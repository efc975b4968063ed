"""Second step: a model of the training set, tracked in MLflow."""

import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from flight_delay import features, model, tracking
from flight_delay.preprocess import split

# The model needs these to be loaded again; inferring them would start a process and take seconds.
_REQUIREMENTS = ("scikit-learn", "pandas", "numpy", "cloudpickle")
# Candidates are compared on the latest part of the training set, as the evaluation month is later.
_VALIDATION_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model and where it is tracked.

    Attributes:
        model: the fitted pipeline from `features.COLUMNS` to probabilities.
        hyperparameters: those that it was fitted with.
        validation: ROC AUC of each candidate on the validation part; empty without candidates.
        run_id: MLflow's run, which holds the model as `model`.
    """

    model: Pipeline
    hyperparameters: dict[str, Any]
    validation: list[float]
    run_id: str


def train(
    training: pd.DataFrame,
    *,
    hyperparameters: Mapping[str, Any],
    candidates: Sequence[Mapping[str, Any]] = (),
    experiment: str,
    notes: Mapping[str, str],
) -> Trained:
    """Fit a model and log it to MLflow.

    Args:
        training: a set of `preprocess.prepare`.
        hyperparameters: arguments of `model.create`.
        candidates: changes of them to try; the best on the latest fifth is fitted on everything.
        experiment: MLflow's experiment, made if it is not there.
        notes: parameters of the run that say what it was trained on.

    Raises:
        TrackingError: MLflow does not answer.
    """
    # First, because minutes of training must not end at a server that was never there.
    tracking.connect(experiment)
    chosen, validation = choose(training, hyperparameters, candidates)
    frame, truth = split(training)
    fitted = model.create(**chosen).fit(frame, truth)
    run_id = log(
        fitted,
        frame.head(3),
        experiment=experiment,
        parameters={
            **notes,
            **chosen,
            "train_flights": len(frame),
            "late_minutes": features.LATE_MINUTES,
        },
        validation=validation,
        tags=_tags(),
    )
    return Trained(model=fitted, hyperparameters=chosen, validation=validation, run_id=run_id)


def log(
    fitted: Pipeline,
    example: pd.DataFrame,
    *,
    experiment: str,
    parameters: Mapping[str, Any],
    tags: Mapping[str, str],
    metrics: Mapping[str, float] | None = None,
    validation: Sequence[float] = (),
) -> str:
    """Log a fitted model to MLflow and return the run, which holds it as `model`.

    Args:
        fitted: pipeline from `features.COLUMNS` to probabilities.
        example: some rows of its training set.
        experiment: MLflow's experiment, made if it is not there.
        parameters: of the run.
        tags: of the run.
        metrics: of the run.
        validation: ROC AUC of each candidate.

    Raises:
        TrackingError: MLflow does not answer.
    """
    mlflow = tracking.connect(experiment)
    # Seconds, which a server that is not there must not cost
    from mlflow import sklearn as flavour  # noqa: PLC0415

    with mlflow.start_run(tags=dict(tags)) as run:
        mlflow.log_params(dict(parameters))
        mlflow.log_metrics(dict(metrics or {}))
        for step, score in enumerate(validation):
            mlflow.log_metric("validation_roc_auc", score, step=step)
        flavour.log_model(
            fitted,
            name="model",
            signature=mlflow.models.infer_signature(example, fitted.predict_proba(example)),
            input_example=example,
            # A pipeline of ours, loaded by ours: the pickle never crosses a trust boundary.
            serialization_format="cloudpickle",
            pyfunc_predict_fn="predict_proba",
            pip_requirements=[
                f"{name}=={importlib.metadata.version(name)}" for name in _REQUIREMENTS
            ],
        )
        return str(run.info.run_id)


def choose(
    training: pd.DataFrame,
    hyperparameters: Mapping[str, Any],
    candidates: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Any], list[float]]:
    """Return the best hyperparameters, and each candidate's ROC AUC on the validation part."""
    if not candidates:
        return dict(hyperparameters), []
    frame, truth = split(training)
    fitting = int(len(frame) * (1 - _VALIDATION_SHARE))
    scores = []
    for candidate in candidates:
        fitted = model.create(**{**hyperparameters, **candidate})
        fitted.fit(frame.iloc[:fitting], truth.iloc[:fitting])
        probability = fitted.predict_proba(frame.iloc[fitting:])[:, 1]
        scores.append(float(roc_auc_score(truth.iloc[fitting:], probability)))
    best = candidates[scores.index(max(scores))]
    return {**hyperparameters, **best}, scores


def _tags() -> dict[str, str]:
    run = os.environ.get("KFP_RUN_ID", "")
    return {"kfp_run_id": run} if run else {}
