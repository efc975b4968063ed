"""The champion of a registered model, read from MLflow."""

from typing import Any

import pulumi
from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from mlops_infra.discreet_provider import DiscreetProvider
from mlops_rollout.registry import CHAMPION, Registry

_OUTPUTS = ("version", "run_id", "metrics")


class ModelNotFoundError(Exception):
    """The registry holds no champion of the model."""


def find_champion(tracking_uri: str, model: str) -> dict[str, Any] | None:
    """Return version, run id and metrics of the model's champion, or None.

    Args:
        tracking_uri: MLflow's address.
        model: the registered model's name.

    Raises:
        RegistryError: MLflow does not answer.
    """
    registry = Registry(tracking_uri, model)
    found = registry.by_alias(CHAMPION)
    if found is None:
        return None
    metrics = registry.metrics(found)
    return {
        "version": found.version.number,
        "run_id": found.run_id,
        "metrics": {name: round(metrics[name], 4) for name in sorted(metrics)},
    }


class ModelVersionProvider(DiscreetProvider):
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
