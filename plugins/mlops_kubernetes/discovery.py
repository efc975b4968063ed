"""Where a cluster serves objects of a kind, asked once per API version and process."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

from mlops_kubernetes import kinds
from mlops_kubernetes.client import ApiError, Client
from mlops_kubernetes.kinds import Endpoint, Kind

# A kind that was missing is looked for again after this long: a CRD may have been added.
_MISS_SECONDS: Final = 1.0


class UnknownKindError(Exception):
    """The cluster does not serve a kind (yet)."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(
            f"the cluster does not serve {kind}; create its CustomResourceDefinition first and let "
            "this resource depend on it, or correct apiVersion and kind"
        )


@dataclass(frozen=True, kw_only=True)
class Location:
    """The address of one object or collection.

    Attributes:
        kind: of the object.
        endpoint: where its kind is served.
        namespace: empty for a cluster-scoped object.
        name: empty for a collection.
    """

    kind: Kind
    endpoint: Endpoint
    namespace: str = ""
    name: str = ""

    @property
    def collection(self) -> str:
        """The path of the collection that the object belongs to."""
        root = "/apis" if self.kind.group else "/api"
        namespace = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}/{self.kind.api_version}{namespace}/{self.endpoint.plural}"

    @property
    def path(self) -> str:
        """The path of the object."""
        return f"{self.collection}/{self.name}"

    @property
    def identity(self) -> str:
        """The resource's id in the stack: `namespace/name` or `name`."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Discovery:
    """Knows the built-in kinds, and asks the cluster for the others."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, dict[str, Endpoint]] = {}
        self._asked: dict[str, float] = {}
        self._lock = asyncio.Lock()

    async def endpoint(self, kind: Kind) -> Endpoint:
        """Return where a kind is served.

        Raises:
            UnknownKindError: the cluster does not serve it.
            ApiError: the cluster refused to tell.
            UnreachableError: there is no cluster.
        """
        if (known := kinds.builtin(kind)) is not None:
            return known
        async with self._lock:
            found = self._known.get(kind.api_version, {}).get(kind.kind)
            if found is not None:
                return found
            asked = self._asked.get(kind.api_version)
            if asked is None or time.monotonic() - asked > _MISS_SECONDS:
                self._known[kind.api_version] = await self._ask(kind)
                self._asked[kind.api_version] = time.monotonic()
            found = self._known[kind.api_version].get(kind.kind)
        if found is None:
            raise UnknownKindError(kind)
        return found

    def forget(self) -> None:
        """Ask the cluster anew, because a definition has changed."""
        self._known.clear()
        self._asked.clear()

    async def _ask(self, kind: Kind) -> dict[str, Endpoint]:
        root = "/apis" if kind.group else "/api"
        try:
            answer: dict[str, Any] = await self._client.get(f"{root}/{kind.api_version}")
        except ApiError as error:
            if error.code == 404:
                return {}
            raise
        return {
            resource["kind"]: Endpoint(resource["name"], bool(resource["namespaced"]))
            for resource in answer.get("resources") or []
            if "/" not in resource["name"]
        }
