"""Evaluate: the new model against the champion on the same flights."""

from typing import NamedTuple

from kfp import dsl

from flight_pipeline.settings import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def evaluate(
    evaluation_set: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    champion_version: str,
    champion_model: str,
    promotion_margin: float,
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
) -> NamedTuple("Verdict", better=bool, roc_auc=float, champion_roc_auc=float):  # type: ignore[valid-type]
    """Write metrics, ROC curve, confusion matrix and a report; say whether to promote."""
    from collections import namedtuple

    import joblib
    import pandas as pd

    from flight_delay.compare import compare

    found = compare(
        joblib.load(model.path),
        pd.read_parquet(evaluation_set.path),
        champion_version=champion_version,
        champion_model=champion_model,
        run_id=model.metadata["mlflow_run_id"],
        promotion_margin=promotion_margin,
    )
    for name, value in found.metrics.items():
        metrics.log_metric(name, round(value, 4))
    for name, value in found.champion_metrics.items():
        metrics.log_metric(f"champion_{name}", round(value, 4))
    classification.log_confusion_matrix(["in time", "late"], found.confusion)
    classification.log_roc_curve(*found.curve)
    with open(report.path, "w") as page:  # noqa: PTH123 - the body stands alone in a step
        page.write(found.report)
    verdict = namedtuple("verdict", "better roc_auc champion_roc_auc")
    return verdict(
        found.better, found.metrics["roc_auc"], found.champion_metrics.get("roc_auc", 0.0)
    )
