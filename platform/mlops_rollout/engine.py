"""What the project asks of an engine that serves models, and what it tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

_ARTIFACTS: Final = "mlflow-artifacts:"
# What release 0.1.0 did not say of a server, whose only model had one name and these classes.
_NAME_IN_0_1_0: Final = "flight-delay"
_CLASSES_IN_0_1_0: Final = {
    "kserve": "flight_serving.mlserver_runtime.FlightDelayRuntime",
    "seldon": "flight_serving.seldon_model.FlightDelay",
}


@dataclass(frozen=True, kw_only=True)
class ModelServer:
    """What serves a model, whatever its version.

    Attributes:
        engine: kserve or seldon.
        namespace: where its manifests are.
        server: what runs a version: Seldon's image, or KServe's runtime.
        model: registered model.
        credentials: name of the Secret with S3's endpoint, region and keys as the SDK's variables,
            and of the service account that stands for it where an engine asks for one.
        artifacts: S3 address of what MLflow's server calls mlflow-artifacts:/.
        log_bucket: bucket of the prediction log; empty for none.
        log_rate: share of the predictions that it keeps, 0 to 1.
        name: the model's name in addresses and in Kubernetes.
        runtime_class: Python class in the server that answers; empty for that of `mlops_serving`,
            which asks a classifier of scikit-learn by its signature.
        keys: digest of the keys in the Secret, so that other keys are other servers; empty where
            nobody says it.
    """

    engine: str
    namespace: str
    server: str
    model: str
    credentials: str
    artifacts: str
    log_bucket: str
    log_rate: float
    name: str
    runtime_class: str = ""
    keys: str = ""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Return what `asdict` wrote, in this release or in 0.1.0.

        Args:
            values: the fields.
        """
        if "name" in values:
            return cls(**values)
        runtime_class = _CLASSES_IN_0_1_0[values["engine"]]
        return cls(**values, name=_NAME_IN_0_1_0, runtime_class=runtime_class)


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered version of a model.

    Attributes:
        number: its number.
        uri: where its files are, as MLflow's server names it.
    """

    number: str
    uri: str

    def address(self, artifacts: str) -> str:
        """Return the S3 address of its files.

        Args:
            artifacts: what stands for mlflow-artifacts:/.
        """
        if not self.uri.startswith(_ARTIFACTS):
            return self.uri
        return f"{artifacts}/{self.uri.removeprefix(_ARTIFACTS).lstrip('/')}"


@dataclass(frozen=True, kw_only=True)
class State:
    """How far an engine is with a manifest.

    Attributes:
        ready: whether it serves as the manifest was last applied.
        failed: whether it does not get there for now.
        final: whether only another manifest can help.
        detail: the reason, or what it does.
    """

    ready: bool
    failed: bool = False
    final: bool = False
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server says of some rows.

    Attributes:
        version: version of the model that answered.
        probabilities: that each belongs to the class that the model predicts.
    """

    version: str
    probabilities: list[float]


class Get(Protocol):
    """Reads objects of a namespace."""

    def __call__(self, *words: str) -> list[dict[str, Any]]:
        """Return those that exist of what the words of `kubectl get` name."""


class Engine(Protocol):
    """A module that knows one engine."""

    @property
    def API_VERSION(self) -> str:  # noqa: N802 - a constant of the module
        """API version of its manifests."""

    @property
    def KIND(self) -> str:  # noqa: N802 - a constant of the module
        """Kind of its manifests."""

    @property
    def SERVICE_PORT(self) -> int:  # noqa: N802 - a constant of the module
        """TCP port of a server's Service."""

    def manifest(self, server: ModelServer, version: Version) -> dict[str, Any]:
        """Return what serves a version, without a name."""

    def service(self, name: str) -> str:
        """Return the name of the Service of a manifest's servers."""

    def host(self, name: str, namespace: str) -> str:
        """Return `host:port` of a manifest's servers for Pods."""

    def state(self, name: str, get: Get) -> State:
        """Return how far the engine is with a manifest."""

    def request(self, name: str, rows: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
        """Return path and body of a request to a model of that name for predictions of rows."""

    def answer(self, body: Mapping[str, Any]) -> Answer:
        """Return what an answer says; without probabilities where it is none."""
