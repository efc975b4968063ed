"""What MLflow holds of a run, by its REST API: the client takes seconds to import."""

from dataclasses import dataclass

from mlops_infra import direct

_HEADLINE = ("roc_auc", "average_precision", "brier_score", "log_loss")


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run of MLflow.

    Attributes:
        metrics: by name.
        tags: by name.
        url: its page.
    """

    metrics: dict[str, float]
    tags: dict[str, str]
    url: str

    def headline(self) -> str:
        """Return the metrics that models are told apart by, in one line."""
        return ", ".join(
            f"{name} {self.metrics[name]:.3f}" for name in _HEADLINE if name in self.metrics
        )


def find(mlflow_url: str, experiment: str, *, tag: str, value: str) -> TrackedRun | None:
    """Return the newest run with a tag, or None.

    Args:
        mlflow_url: the server.
        experiment: name of the run's experiment.
        tag: name of the tag.
        value: value of the tag.

    Raises:
        httpx.HTTPError: the server does not answer.
    """
    api = f"{mlflow_url}/api/2.0/mlflow"
    with direct.client(timeout=30) as client:
        answer = client.get(
            f"{api}/experiments/get-by-name", params={"experiment_name": experiment}
        )
        if answer.is_error:
            return None
        found = answer.json()["experiment"]["experiment_id"]
        query = {
            "experiment_ids": [found],
            "filter": f"tags.{tag} = '{value}'",
            "max_results": 1,
        }
        runs = client.post(f"{api}/runs/search", json=query).raise_for_status().json().get("runs")
    if not runs:
        return None
    data = runs[0]["data"]
    return TrackedRun(
        metrics={each["key"]: each["value"] for each in data.get("metrics", [])},
        tags={each["key"]: each["value"] for each in data.get("tags", [])},
        url=f"{mlflow_url}/#/experiments/{found}/runs/{runs[0]['info']['run_id']}",
    )
