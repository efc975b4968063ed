"""The champion of a registered model, read from MLflow."""

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

_ALIAS = "champion"
_OUTPUTS = ("version", "run_id", "metrics", "artifact_uri")
_TIMEOUT_SECONDS = 30


class ModelNotFoundError(Exception):
    """The registry holds no champion of the model."""


def find_champion(tracking_uri: str, model: str) -> dict[str, Any] | None:
    """Return version, run id, metrics and address of the model's champion, or None.

    Args:
        tracking_uri: MLflow's address.
        model: the registered model's name.
    """
    found = _get(tracking_uri, "registered-models/alias", name=model, alias=_ALIAS)
    if found is None:
        return None
    version = found["model_version"]
    # A version of other origin has no run, or one that is gone.
    run_id = version.get("run_id", "")
    run = _get(tracking_uri, "runs/get", run_id=run_id) if run_id else None
    files = _get(
        tracking_uri, "model-versions/get-download-uri", name=model, version=version["version"]
    )
    metrics = run["run"]["data"].get("metrics", []) if run else []
    return {
        "version": str(version["version"]),
        "run_id": run_id,
        "metrics": {m["key"]: round(m["value"], 4) for m in sorted(metrics, key=_key)},
        "artifact_uri": files["artifact_uri"] if files else "",
    }


def _key(metric: dict[str, Any]) -> str:
    return str(metric["key"])


def _get(tracking_uri: str, path: str, **query: str) -> dict[str, Any] | None:
    """Return MLflow's answer, or None for what it does not know."""
    import httpx  # noqa: PLC0415 - only the provider's process talks to MLflow

    url = f"{tracking_uri}/api/2.0/mlflow/{path}"
    response = httpx.get(url, params=query, timeout=_TIMEOUT_SECONDS)
    if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.BAD_REQUEST) and (
        response.json().get("error_code") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    ):
        return None
    result: dict[str, Any] = response.raise_for_status().json()
    return result


class ModelVersionProvider(ResourceProvider):
    """Looks the champion up; it neither makes nor removes anything."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Find the champion.

        Raises:
            ModelNotFoundError: there is none.
        """
        return CreateResult(str(props["model"]), self._found(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for another model; look again after another run or at another address."""
        replaces = ["model"] if olds.get("model") != news.get("model") else []
        moved = any(olds.get(key) != news.get(key) for key in ("tracking_uri", "after"))
        # Stacks of before know no address yet.
        moved = moved or "artifact_uri" not in olds
        return DiffResult(changes=bool(replaces) or moved, replaces=replaces)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Look again."""
        return UpdateResult(self._found(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the champion of now; without one it leaves the state."""
        found = find_champion(props["tracking_uri"], props["model"])
        return ReadResult(id_, {**props, **found}) if found else ReadResult("", {})

    @staticmethod
    def _found(props: dict[str, Any]) -> dict[str, Any]:
        found = find_champion(props["tracking_uri"], props["model"])
        if found is None:
            raise ModelNotFoundError(
                f"MLflow holds no champion of {props['model']!r}; look at the pipeline's last run"
            )
        return {**props, **found}


class ModelVersion(Resource, module="mlops", name="ModelVersion"):
    """The champion in MLflow's registry.

    Attributes:
        version: its number.
        run_id: the run that trained it.
        metrics: the run's metrics by name.
        artifact_uri: where its files are, as MLflow's server names it.
    """

    version: pulumi.Output[str]
    run_id: pulumi.Output[str]
    metrics: pulumi.Output[dict[str, float]]
    artifact_uri: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        tracking_uri: pulumi.Input[str],
        model: str,
        after: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        outputs: dict[str, None] = dict.fromkeys(_OUTPUTS)
        super().__init__(
            ModelVersionProvider(),
            name,
            {"tracking_uri": tracking_uri, "model": model, "after": after, **outputs},
            opts,
        )
