"""The configured cluster: one per plugin process, reached when it is first needed."""

from typing import Any

from mlops_kubernetes import kinds, kubeconfig
from mlops_kubernetes.cancellation import Cancellation
from mlops_kubernetes.client import Client, UnreachableError
from mlops_kubernetes.diff import Policy
from mlops_kubernetes.discovery import Discovery, Location
from mlops_kubernetes.kinds import Endpoint, Kind
from mlops_kubernetes.kubeconfig import KubeconfigError
from mlops_kubernetes.settings import Settings


class Cluster:
    """A configured cluster, which need not exist yet or any more.

    Attributes:
        settings: the provider's configuration.
        cancellation: ends waits early.
    """

    def __init__(self, settings: Settings, cancellation: Cancellation) -> None:
        self.settings = settings
        self.cancellation = cancellation
        self._client: Client | None = None
        self._discovery: Discovery | None = None
        self._failure = ""
        self._namespace = settings.namespace or "default"
        if not settings.known:
            self._failure = "the provider's arguments are not known before the update runs"
            return
        try:
            access = kubeconfig.load(
                settings.kubeconfig, context=settings.context, cluster=settings.cluster
            )
        except KubeconfigError as error:
            # A cluster that is about to be made has no kubeconfig yet: previews go on without.
            self._failure = str(error)
            return
        self._namespace = settings.namespace or access.namespace
        self._client = Client(access, request_seconds=settings.request_seconds)
        self._discovery = Discovery(self._client)

    @property
    def namespace(self) -> str:
        """The namespace of objects that name none."""
        return self._namespace

    @property
    def policy(self) -> Policy:
        """What the configuration says about replacement."""
        return Policy(
            default_namespace=self._namespace,
            config_map_mutable=self.settings.config_map_mutable,
            secret_mutable=self.settings.secret_mutable,
        )

    @property
    def client(self) -> Client:
        """The client.

        Raises:
            UnreachableError: there is no usable kubeconfig.
        """
        if self._client is None:
            raise UnreachableError(self._failure)
        return self._client

    @property
    def discovery(self) -> Discovery:
        """What the cluster serves.

        Raises:
            UnreachableError: there is no usable kubeconfig.
        """
        if self._discovery is None:
            raise UnreachableError(self._failure)
        return self._discovery

    async def locate(self, inputs: dict[str, Any], *, name: str = "") -> Location:
        """Return the address of the object that inputs describe.

        Raises:
            UnknownKindError: the cluster does not serve the kind.
            ApiError: the cluster refused to tell.
            UnreachableError: there is no cluster.
        """
        kind = kinds.of_object(inputs)
        metadata = inputs.get("metadata") or {}
        return self.place(
            kind,
            await self.discovery.endpoint(kind),
            str(metadata.get("namespace") or ""),
            name or str(metadata.get("name") or ""),
        )

    def place(self, kind: Kind, endpoint: Endpoint, namespace: str, name: str) -> Location:
        """Return an address, with the default namespace where one is needed and none given."""
        chosen = (namespace or self._namespace) if endpoint.namespaced else ""
        return Location(kind=kind, endpoint=endpoint, namespace=chosen, name=name)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
