"""What a stack says of itself: the program writes it, the commands read it.

The names of the fields are those of Pulumi's outputs, which `pulumi stack output` shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

import pulumi

from mlops_infra.endpoint import Endpoint
from mlops_rollout.engine import ModelServer

# Read from the database.
_WORKLOAD_IN_0_1_0: Final = "flight-delay"
_EXPERIMENTS: Final = "/apis/v2beta1/experiments?page_size=1"


@dataclass(frozen=True, kw_only=True)
class WorkloadOutputs:
    """What a stack says of a workload. A field without a value belongs to what is not there.

    Attributes:
        model_servers: what serves, as `mlops_rollout.engine.ModelServer` has it.
        kserve_url: the model's address on KServe.
        seldon_url: the model's address on Seldon.
        training_jobs: namespace and templates of trainings.
        model_name: registered model.
        model_version: version that the update's run has made champion.
        model_run: MLflow's run of that version.
        model_metrics: its metrics by name.
        pipeline_id: id of the uploaded pipeline.
        pipeline_version: name of its version.
        pipeline_version_id: id of its version.
        pipeline_data: the parameters that every run is given.
        pipeline_run: the run that the update waited for.
        pipeline_seconds: how long that took.
    """

    model_servers: Sequence[Mapping[str, Any]] = ()
    kserve_url: str = ""
    seldon_url: str = ""
    training_jobs: Mapping[str, Any] = field(default_factory=dict)
    model_name: str = ""
    model_version: str = ""
    model_run: str = ""
    model_metrics: Mapping[str, float] = field(default_factory=dict)
    pipeline_id: str = ""
    pipeline_version: str = ""
    pipeline_version_id: str = ""
    pipeline_data: Mapping[str, str] = field(default_factory=dict)
    pipeline_run: str = ""
    pipeline_seconds: float = 0

    @property
    def servers(self) -> list[ModelServer]:
        """What serves."""
        return [ModelServer.read(each) for each in self.model_servers]

    def model_url(self, engine: str) -> str:
        """Return the model's address on an engine; empty where that does not serve."""
        return {"kserve": self.kserve_url, "seldon": self.seldon_url}[engine]


@dataclass(frozen=True, kw_only=True)
class StackOutputs(WorkloadOutputs):
    """What a stack says of itself. A field without a value belongs to a part that is not there.

    The fields of a workload stand for the only one of stacks up to release 0.1.0, and for the
    first one of later stacks, for those who read them by these names. `workload` knows all.

    Attributes:
        kubeconfig: text of an administrator's kubeconfig.
        node_address: address of the cluster's NodePorts on this machine.
        s3_url: address of the S3 API.
        s3_access_key: its key; empty where callers have an identity of their own.
        s3_secret_key: its secret key.
        s3_region: region that requests are signed for.
        buckets: purpose to bucket.
        repositories: image to repository, on AWS.
        database_address: address of the database, on AWS.
        database_secret_arn: secret of AWS that holds its password.
        mlflow_url: address of MLflow.
        kubeflow_url: address of Kubeflow Pipelines' API.
        kubeflow_ui_url: address of its UI.
        gateway_url: address of the serving gateway.
        kserve_namespace: namespace of KServe's servers.
        seldon_namespace: namespace of Seldon's servers.
        notebook_url: address of the notebook with its token.
        notebook_address: address of the notebook without it.
        training_namespace: namespace of trainings.
        workloads: what each workload has, by its name, as the fields of `WorkloadOutputs`.
        services: what further components offer, each as the fields of an `Endpoint`.
    """

    kubeconfig: str = field(default="", repr=False)
    node_address: str = ""
    s3_url: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = field(default="", repr=False)
    s3_region: str = ""
    buckets: Mapping[str, str] = field(default_factory=dict)
    repositories: Mapping[str, str] = field(default_factory=dict)
    database_address: str = ""
    database_secret_arn: str = ""
    mlflow_url: str = ""
    kubeflow_url: str = ""
    kubeflow_ui_url: str = ""
    gateway_url: str = ""
    kserve_namespace: str = ""
    seldon_namespace: str = ""
    notebook_url: str = field(default="", repr=False)
    notebook_address: str = ""
    training_namespace: str = ""
    workloads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    services: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Return what a stack says, whichever release brought it up.

        Args:
            values: its outputs, secrets included. Those that this release does not know are of
                another one, and left out.
        """
        # An output of a part that is not there is null.
        return cls(**{name: value for name, value in values.items() if name in NAMES and value})

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The services that users reach, in the order of summaries."""
        if not self.mlflow_url:  # a stack of infra alone
            return (self._store(),)
        return (
            Endpoint(
                name="MLflow",
                url=self.mlflow_url,
                # As MLflow's page searches, with the origin that a browser sends.
                health="/ajax-api/2.0/mlflow/experiments/search",
                body={"max_results": 1},
            ),
            Endpoint(
                name="Kubeflow UI",
                url=self.kubeflow_ui_url,
                health=_EXPERIMENTS,
                absent="not built yet; `make toolchain`, then `make up`",
            ),
            Endpoint(name="Kubeflow API", url=self.kubeflow_url, health=_EXPERIMENTS),
            self._store(),
            Endpoint(
                name="Notebook",
                url=self.notebook_address,
                health="/login",
                sign_in="notebook_url",
            ),
            *(Endpoint(**each) for each in self.services),
        )

    def workload(self, name: str) -> WorkloadOutputs:
        """Return what a workload has; nothing for one that is not up.

        Args:
            name: its name.
        """
        known = {each.name for each in fields(WorkloadOutputs)}
        found = self.workloads.get(name)
        if found is None:
            # Release 0.1.0 had one workload, and wrote its name nowhere.
            only = not self.workloads and name == _WORKLOAD_IN_0_1_0
            found = {each: getattr(self, each) for each in known} if only else {}
        return WorkloadOutputs(**{key: v for key, v in found.items() if key in known and v})

    def _store(self) -> Endpoint:
        return Endpoint(name="S3", url=self.s3_url, absent="-")


NAMES: Final = frozenset(each.name for each in fields(StackOutputs))


def export(**values: Any) -> None:
    """Write outputs of the running program.

    Args:
        values: fields of `StackOutputs`, as values or as Pulumi's outputs.

    Raises:
        TypeError: there is no such field.
    """
    if unknown := sorted(set(values) - NAMES):
        raise TypeError(f"StackOutputs has no {', '.join(unknown)}")
    for name, value in values.items():
        pulumi.export(name, value)


def of_workloads(deployed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the outputs of workloads: each under its name, and the first one's as the stack's own.

    Args:
        deployed: what each workload's `deploy` gave, by its name.
    """
    known = {each.name for each in fields(WorkloadOutputs)}
    first = next(iter(deployed.values()), {})
    named = {
        name: {key: value for key, value in told.items() if key in known}
        for name, told in deployed.items()
    }
    return {**first, "workloads": named}
