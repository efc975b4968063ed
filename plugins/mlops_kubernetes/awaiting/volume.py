"""PersistentVolumeClaims: bound. PersistentVolumes: usable."""

from typing import Any, Final

from mlops_kubernetes.awaiting.verdict import (
    READY,
    UNCERTAIN_SECONDS,
    Look,
    Verdict,
    failed,
    spec,
    status,
    waiting,
)

_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
_NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
_NO_CLASS: Final = "no volume comes until there is one; create it, or name another one"
_CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"


async def judge_claim(  # noqa: PLR0911
    value: dict[str, Any], look: Look
) -> Verdict:
    """Wait until a volume is bound.

    A claim whose class binds with the first consumer is ready as it is: the pod that would consume
    it may depend on it.
    """
    phase = status(value).get("phase")
    if phase == "Bound":
        return READY
    if phase == "Lost":
        if status(look.before).get("phase") == "Lost":
            # It binds again when the volume comes back.
            return waiting("the claim's PersistentVolume is still gone")
        return failed("the claim's PersistentVolume is gone")
    name = spec(value).get("storageClassName")
    if name == "":
        return waiting(
            "no PersistentVolume matches the claim, which names no StorageClass",
            warning="create a volume for it, or name a StorageClass",
            warn_after=UNCERTAIN_SECONDS,
        )
    found = await look.get(f"{_CLASSES}/{name}") if name else await _default_class(look)
    if found is None:
        missing = f"StorageClass {name!r}" if name else "default StorageClass"
        return waiting(f"the cluster has no {missing}", warning=_NO_CLASS)
    if found.get("volumeBindingMode") == "WaitForFirstConsumer":
        return READY
    provisioner = found.get("provisioner")
    return waiting(
        f"StorageClass {found['metadata']['name']!r} has not provisioned a volume yet",
        warning=f"is its provisioner {provisioner!r} running? Look at the claim's events",
        warn_after=0 if provisioner == _NO_PROVISIONER else UNCERTAIN_SECONDS,
    )


async def judge_volume(value: dict[str, Any], look: Look) -> Verdict:
    """Wait until the volume is available or bound."""
    phase = status(value).get("phase", "Pending")
    if phase in ("Available", "Bound"):
        return READY
    if phase == "Failed" and status(look.before).get("phase") != "Failed":
        return failed(f"the volume failed: {status(value).get('message', '')}")
    return waiting(f"the volume is {phase.lower()}")


async def _default_class(look: Look) -> dict[str, Any] | None:
    for found in await look.list(_CLASSES):
        annotations = found["metadata"].get("annotations") or {}
        if annotations.get(_DEFAULT_CLASS) == "true":
            return found
    return None
