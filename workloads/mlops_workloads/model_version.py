"""The version of a registered model that a training run has produced, read from MLflow."""

from typing import Any

import pulumi
from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

_OUTPUTS = ("version", "run_id", "metrics")
_TIMEOUT_SECONDS = 30


class ModelNotFoundError(Exception):
    """The registry holds no version of the model from that training."""


def _get(tracking_uri: str, path: str, **query: str) -> dict[str, Any]:
    import httpx  # noqa: PLC0415 - only the provider's process talks to MLflow

    url = f"{tracking_uri}/api/2.0/mlflow/{path}"
    response = httpx.get(url, params=query, timeout=_TIMEOUT_SECONDS).raise_for_status()
    result: dict[str, Any] = response.json()
    return result


def find_version(tracking_uri: str, model: str, training: str) -> dict[str, Any] | None:
    """Return version, run id and metrics of the model that a training registered, or None.

    Args:
        tracking_uri: MLflow's address.
        model: the registered model's name.
        training: value of the run's tag `training_job`.
    """
    quoted = model.replace("'", "\\'")
    versions = _get(
        tracking_uri, "model-versions/search", filter=f"name='{quoted}'", max_results="200"
    ).get("model_versions", [])
    for version in sorted(versions, key=lambda v: int(v["version"]), reverse=True):
        run = _run(tracking_uri, version.get("run_id", ""))
        if run is None:
            continue
        tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
        if tags.get("training_job") == training:
            metrics = {m["key"]: m["value"] for m in run["data"].get("metrics", [])}
            return {
                "version": version["version"],
                "run_id": version["run_id"],
                "metrics": {key: round(value, 4) for key, value in sorted(metrics.items())},
            }
    return None


def _run(tracking_uri: str, run_id: str) -> dict[str, Any] | None:
    """Return the run, or None for a version of other origin: no run made it, or it is gone."""
    import httpx  # noqa: PLC0415

    if not run_id:
        return None
    try:
        run: dict[str, Any] = _get(tracking_uri, "runs/get", run_id=run_id)["run"]
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.NOT_FOUND:
            return None
        raise
    return run


class ModelVersionProvider(ResourceProvider):
    """Looks a trained model up; it neither makes nor removes anything."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Find the version that the training has registered.

        Raises:
            ModelNotFoundError: the training has ended, but the registry does not know its model.
        """
        return CreateResult(f"{props['model']}/{props['training']}", self._found(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for another training; a moved address is an update."""
        replaces = [key for key in ("model", "training") if olds.get(key) != news.get(key)]
        moved = olds.get("tracking_uri") != news.get("tracking_uri")
        return DiffResult(changes=bool(replaces) or moved, replaces=replaces)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Look the version up at its new address."""
        return UpdateResult(self._found(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the version; one that was removed from the registry drops it from state."""
        found = find_version(props["tracking_uri"], props["model"], props["training"])
        return ReadResult(id_, {**props, **found}) if found else ReadResult("", {})

    @staticmethod
    def _found(props: dict[str, Any]) -> dict[str, Any]:
        found = find_version(props["tracking_uri"], props["model"], props["training"])
        if found is None:
            raise ModelNotFoundError(
                f"training {props['training']} has ended, but MLflow holds no version of "
                f"{props['model']!r} from it; look at the job's log in namespace training"
            )
        return {**props, **found}


class ModelVersion(Resource, module="mlops", name="ModelVersion"):
    """A version in MLflow's registry.

    Attributes:
        version: its number.
        run_id: the run that trained it.
        metrics: the run's metrics by name.
    """

    version: pulumi.Output[str]
    run_id: pulumi.Output[str]
    metrics: pulumi.Output[dict[str, float]]

    def __init__(
        self,
        name: str,
        *,
        tracking_uri: pulumi.Input[str],
        model: str,
        training: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        outputs: dict[str, None] = dict.fromkeys(_OUTPUTS)
        super().__init__(
            ModelVersionProvider(),
            name,
            {"tracking_uri": tracking_uri, "model": model, "training": training, **outputs},
            opts,
        )
