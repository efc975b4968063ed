"""The stack's buckets."""

from dataclasses import dataclass

import pulumi

from mlops_infra.bucket import Bucket, BucketArgs


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """An S3 API and who may write to it.

    Attributes:
        endpoint: URL at which this machine reaches it.
        cluster_endpoint: URL at which pods reach it.
        region: region that requests are signed for.
        access_key: access key, secret.
        secret_key: secret key, secret.
    """

    endpoint: pulumi.Output[str]
    cluster_endpoint: str
    region: str
    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class BucketsArgs:
    """What the buckets need.

    Attributes:
        store: the S3 API that holds them.
        ephemeral: whether deletion may empty them.
        artifact_expiry_days: days after which artifacts expire; 0 keeps them.
    """

    store: ObjectStore
    ephemeral: bool
    artifact_expiry_days: int = 0


class Buckets(pulumi.ComponentResource):
    """Buckets for data sets, run artifacts and models.

    Attributes:
        datasets: bucket of the input data.
        artifacts: bucket of what runs leave behind.
        models: bucket of released models, versioned where the store offers it.
        pipelines: bucket of compiled pipelines and of what their steps hand on.
        pipelines_name: the same, known before the bucket is made.
        store: the S3 API that holds them.
    """

    datasets: pulumi.Output[str]
    artifacts: pulumi.Output[str]
    models: pulumi.Output[str]
    pipelines: pulumi.Output[str]
    pipelines_name: str
    store: ObjectStore

    def __init__(
        self, name: str, args: BucketsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlops:infra:Buckets", name, None, opts)
        self.store = args.store

        def bucket(purpose: str, *, versioning: bool = False, expire_days: int = 0) -> Bucket:
            return Bucket(
                f"{name}-{purpose}",
                BucketArgs(
                    bucket=purpose,
                    endpoint=args.store.endpoint,
                    region=args.store.region,
                    access_key=args.store.access_key,
                    secret_key=args.store.secret_key,
                    versioning=versioning,
                    expire_days=expire_days,
                    force_destroy=args.ephemeral,
                ),
                pulumi.ResourceOptions(parent=self),
            )

        self.datasets = bucket("datasets").bucket
        self.artifacts = bucket("artifacts", expire_days=args.artifact_expiry_days).bucket
        self.models = bucket("models", versioning=True).bucket
        self.pipelines_name = "pipelines"
        self.pipelines = bucket(self.pipelines_name, expire_days=args.artifact_expiry_days).bucket
        self.register_outputs(
            {
                "datasets": self.datasets,
                "artifacts": self.artifacts,
                "models": self.models,
                "pipelines": self.pipelines,
            }
        )
