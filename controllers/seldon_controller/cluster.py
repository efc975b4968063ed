"""What the controller asks of the Kubernetes API."""

from collections.abc import Mapping
from typing import Any, Final

from lightkube import Client
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from seldon_controller.objects import DEPLOYMENT_LABEL
from seldon_controller.reconcile import RefusedError

GROUP: Final = "machinelearning.seldon.io"
PLURAL: Final = "seldondeployments"
_MANAGER = "seldon-controller"
_NOT_FOUND = 404
# What the API server says of an object; anything else says that it cannot be asked now.
_REFUSED = (400, 403, 422)

_SeldonDeployment = create_namespaced_resource(GROUP, "v1", "SeldonDeployment", PLURAL)
_CLASSES = {
    "Deployment": create_namespaced_resource("apps", "v1", "Deployment", "deployments"),
    "Service": create_namespaced_resource("", "v1", "Service", "services"),
    "Pod": create_namespaced_resource("", "v1", "Pod", "pods"),
}


class Cluster:
    """The objects of SeldonDeployments in a namespace of a cluster.

    Args:
        namespace: the namespace.
    """

    def __init__(self, namespace: str) -> None:
        self._client = Client(field_manager=_MANAGER)
        self._namespace = namespace

    def names(self) -> list[tuple[str, str]]:
        """Return namespace and name of each SeldonDeployment."""
        found = self._client.list(_SeldonDeployment, namespace=self._namespace)
        return [(self._namespace, str(each["metadata"]["name"])) for each in found]

    def read(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return a SeldonDeployment, or None when it is gone."""
        try:
            return dict(self._client.get(_SeldonDeployment, name, namespace=namespace))
        except ApiError as error:
            if error.status.code == _NOT_FOUND:
                return None
            raise

    def children(self, kind: str, namespace: str, name: str) -> list[dict[str, Any]]:
        """Return a SeldonDeployment's Deployments, Services or Pods."""
        found = self._client.list(
            _CLASSES[kind], namespace=namespace, labels={DEPLOYMENT_LABEL: name}
        )
        return [dict(each) for each in found]

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Make an object as its manifest says; other writers' fields stay.

        Raises:
            RefusedError: the API server does not take it.
        """
        try:
            self._client.apply(_CLASSES[manifest["kind"]].from_dict(dict(manifest)), force=True)
        except ApiError as error:
            if error.status.code in _REFUSED:
                name = f"{manifest['kind']} {manifest['metadata']['name']}"
                raise RefusedError(f"{name}: {error.status.message}") from error
            raise

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object, and what it owns; one that is gone is no error."""
        try:
            self._client.delete(_CLASSES[kind], name, namespace=namespace)
        except ApiError as error:
            if error.status.code != _NOT_FOUND:
                raise

    def write_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Replace a SeldonDeployment's status; one that is gone is no error."""
        patch = [{"op": "add", "path": "/status", "value": dict(status)}]
        try:
            self._client.patch(
                _SeldonDeployment.Status,
                name,
                patch,
                namespace=namespace,
                patch_type=PatchType.JSON,
            )
        except ApiError as error:
            if error.status.code != _NOT_FOUND:
                raise
