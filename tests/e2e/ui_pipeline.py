"""A small pipeline with every kind of artifact that Kubeflow's UI shows in its own way.

Components are compiled from their source: each must hold all that it uses.

`python -m tests.e2e.ui_pipeline URL` runs it to its end and prints the run's id.
"""

import sys

import kfp
from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Metrics, Output

from mlops_toolchain import images

# Less than the caller waits
_RUN_SECONDS = 270

_component = dsl.component(
    base_image=images.reference("flights"), packages_to_install=[], install_kfp_package=False
)


@_component
def make(rows: int, data: Output[Dataset]) -> None:
    from pathlib import Path  # noqa: PLC0415

    lines = [f"{row},{row * 2}\n" for row in range(rows)]
    Path(data.path).write_text("month,delay\n" + "".join(lines))


@_component
def evaluate(
    data: Input[Dataset],
    metrics: Output[Metrics],
    curve: Output[ClassificationMetrics],
    card: Output[HTML],
) -> None:
    from pathlib import Path  # noqa: PLC0415

    rows = len(Path(data.path).read_text().splitlines()) - 1
    print(f"evaluated {rows} rows")
    metrics.log_metric("roc_auc", 0.7125)
    metrics.log_metric("rows", rows)
    # What is no number is left out, as the first point of scikit-learn's curves.
    metrics.log_metric("precision", float("nan"))
    curve.log_roc_curve([0.0, 0.0, 0.2, 1.0], [0.0, 0.0, 0.7, 1.0], [float("inf"), 1.0, 0.5, 0.0])
    curve.log_confusion_matrix(["on time", "late"], [[81, 12], [7, 93]])
    Path(card.path).write_text("<html><body><h1>Model card</h1></body></html>")


@dsl.pipeline(name="ui")
def pipeline(rows: int = 3) -> None:
    evaluate(data=make(rows=rows).outputs["data"])


def main() -> int:
    """Run the pipeline; return the process's exit code."""
    client = kfp.Client(host=sys.argv[1])
    run = client.create_run_from_pipeline_func(pipeline, arguments={}, enable_caching=False)
    finished = client.wait_for_run_completion(run.run_id, timeout=_RUN_SECONDS, sleep_duration=1)
    print(run.run_id)
    return 0 if finished.state == "SUCCEEDED" else 1


if __name__ == "__main__":
    sys.exit(main())
