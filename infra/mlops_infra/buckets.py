"""The stack's buckets."""

from dataclasses import dataclass
from typing import ClassVar, Final
from urllib.parse import SplitResult, urlsplit

import pulumi

from mlops_infra.bucket import Bucket, BucketArgs

EXPIRING: Final = {"artifacts": "predictions/", "pipelines": "artifacts/"}
"""What expires by its age alone, by bucket: the prefix of its keys.

Of what MLflow keeps beside it, registered models stay, which only MLflow can tell.
"""


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """An S3 API and who may write to it.

    Attributes:
        endpoint: URL at which this machine reaches it.
        cluster_endpoint: URL at which pods reach it.
        shared_endpoint: URL at which both do, for addresses that a pod signs and others use.
        region: region that requests are signed for.
        access_key: access key, secret.
        secret_key: secret key, secret.
        keyless: whether there are no keys, and each program uses an identity of its own.
    """

    endpoint: pulumi.Output[str]
    cluster_endpoint: str
    shared_endpoint: pulumi.Output[str]
    region: str
    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]
    keyless: bool = False

    @property
    def secure(self) -> bool:
        """Whether pods reach it by TLS."""
        return self._parts.scheme == "https"

    @property
    def host(self) -> str:
        """Its name for pods."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """Its TCP port for pods."""
        return self._parts.port or (443 if self.secure else 80)

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.cluster_endpoint)


@dataclass(frozen=True, kw_only=True)
class BucketsArgs:
    """What the buckets need.

    Attributes:
        store: the S3 API that holds them.
        ephemeral: whether deletion may empty them.
    """

    store: ObjectStore
    ephemeral: bool


class Buckets(pulumi.ComponentResource):
    """Buckets for data sets, run artifacts and models.

    Attributes:
        datasets: bucket of the input data.
        artifacts: bucket of what runs leave behind.
        models: bucket of released models, versioned where the store offers it.
        pipelines: bucket of compiled pipelines and of what their steps hand on.
        store: the S3 API that holds them.
    """

    datasets: pulumi.Output[str]
    artifacts: pulumi.Output[str]
    models: pulumi.Output[str]
    pipelines: pulumi.Output[str]
    store: ObjectStore

    TOKEN: ClassVar[str] = "mlops:infra:Buckets"  # noqa: S105 - a resource's type

    def __init__(
        self, name: str, args: BucketsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(self.TOKEN, name, None, opts)
        self.store = args.store
        self._prefix = name
        self._args = args
        self.datasets = self._bucket("datasets")
        self.artifacts = self._bucket("artifacts")
        self.models = self._bucket("models", versioning=True)
        self.pipelines = self._bucket("pipelines")
        self.register_outputs(
            {
                "datasets": self.datasets,
                "artifacts": self.artifacts,
                "models": self.models,
                "pipelines": self.pipelines,
            }
        )

    def _bucket(self, purpose: str, *, versioning: bool = False) -> pulumi.Output[str]:
        """Make one bucket and return its name; what differs between S3 gateways and AWS."""
        store = self._args.store
        return Bucket(
            f"{self._prefix}-{purpose}",
            BucketArgs(
                bucket=purpose,
                endpoint=store.endpoint,
                region=store.region,
                access_key=store.access_key,
                secret_key=store.secret_key,
                versioning=versioning,
                force_destroy=self._args.ephemeral,
            ),
            pulumi.ResourceOptions(parent=self),
        ).bucket
