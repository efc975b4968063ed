"""The variables by which a Pod of a user's finds the object store and the rest of the stack."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra.buckets import Buckets


def secret(
    name: str,
    *,
    metadata: kubernetes.meta.v1.ObjectMetaArgsDict,
    buckets: Buckets,
    addresses: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> kubernetes.core.v1.Secret:
    """Return a Secret of environment variables.

    Args:
        name: of the resource.
        metadata: namespace, and the Secret's name if it matters.
        buckets: the object store; its keys are left out where Pods have an identity instead.
        addresses: further variables.
        opts: options of the resource.
    """
    store = buckets.store
    return kubernetes.core.v1.Secret(
        name,
        metadata=metadata,
        string_data={
            "AWS_ENDPOINT_URL": store.cluster_endpoint,
            "AWS_DEFAULT_REGION": store.region,
            **keys(buckets),
            **addresses,
        },
        opts=opts,
    )


def keys(buckets: Buckets) -> dict[str, pulumi.Output[str]]:
    """Return the variables with the store's keys; nothing where Pods have an identity instead."""
    store = buckets.store
    if store.keyless:
        return {}
    return {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
