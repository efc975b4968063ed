"""Where a cluster serves objects of a kind, asked once per API version and process."""

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from mlops_kubernetes import kinds
from mlops_kubernetes.client import ApiError, Client, NotServedError
from mlops_kubernetes.kinds import Endpoint, Kind

# A kind that was missing is looked for again after this long: a CRD may have been added.
_MISS_SECONDS: Final = 1.0
_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class UnknownKindError(Exception):
    """The cluster does not serve a kind (yet), perhaps in other versions only."""

    def __init__(self, kind: Kind, served: list[str]) -> None:
        remedy = (
            f"it has {', '.join(served)}; correct apiVersion, or wait until its "
            "CustomResourceDefinition serves this version"
            if served
            else "create its CustomResourceDefinition first and let this resource depend on it, "
            "or correct apiVersion and kind"
        )
        super().__init__(f"the cluster does not serve {kind}; {remedy}")


class UnservedObjectsError(Exception):
    """A cluster has the definition of a kind, and so perhaps objects, but serves no version."""

    def __init__(self, kind: Kind, definition: str) -> None:
        super().__init__(
            f"the cluster has CustomResourceDefinition {definition} but serves no version of "
            f"{kind.kind}, so its objects cannot be reached; let the definition serve one"
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
    """Knows the built-in kinds, and asks the cluster for the others.

    Attributes:
        client: of the cluster.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._known: dict[str, dict[str, Endpoint]] = {}
        self._asked: dict[str, float] = {}
        self._lock = asyncio.Lock()

    async def endpoint(self, kind: Kind) -> Endpoint:
        """Return where a kind is served in the version that it states.

        Raises:
            UnknownKindError: the cluster does not serve it.
            ApiError: the cluster refused to tell.
            UnreachableError: there is no cluster.
        """
        if (known := kinds.builtin(kind)) is not None:
            return known
        if (found := await self._find(kind)) is not None:
            return found
        others = [Kind(version, kind.kind) for version in await self._served_versions(kind.group)]
        served = [other.api_version for other in others if await self._find(other) is not None]
        raise UnknownKindError(kind, served)

    async def of_existing(self, kind: Kind) -> tuple[Kind, Endpoint] | None:
        """Return where the objects of a kind are now, perhaps in another version.

        An object that was made in a version that is no longer served is still there.

        Returns:
            The kind in a version that is served; None when the cluster has no such kind any more,
            and so no such object.

        Raises:
            UnservedObjectsError: the kind has a definition, but is not served.
            ApiError: the cluster refused to tell, or an aggregated API does not answer now.
            UnreachableError: there is no cluster.
        """
        versions = await self._served_versions(kind.group)
        versions.sort(key=lambda version: version != kind.api_version)
        for now in (Kind(version, kind.kind) for version in versions):
            if (found := await self._find(now)) is not None:
                return now, found
        for definition in (await self.client.get(_DEFINITIONS)).get("items") or []:
            spec, metadata = definition["spec"], definition["metadata"]
            if "deletionTimestamp" in metadata:
                continue  # Its objects go with it.
            if (spec["group"], spec["names"]["kind"]) == (kind.group, kind.kind):
                raise UnservedObjectsError(kind, metadata["name"])
        return None

    async def live(self, location: Location) -> dict[str, Any] | None:
        """Return an object; None where the API server says that it, or its kind, does not exist.

        Raises:
            UnservedObjectsError: the object's kind is no longer served.
            ApiError: the cluster refused to tell.
            UnreachableError: there is no cluster.
        """
        try:
            return await self.client.get_or_none(location.path)
        except NotServedError:
            self.forget()
            if (now := await self.of_existing(location.kind)) is None:
                return None
            kind, endpoint = now
            elsewhere = replace(location, kind=kind, endpoint=endpoint)
            return await self.client.get_or_none(elsewhere.path)

    async def custom_kinds(self) -> list[tuple[Kind, Endpoint]]:
        """Return the namespaced kinds that are not Kubernetes' own, each in its preferred version.

        Raises:
            ApiError: the cluster refused to tell.
            UnreachableError: there is no cluster.
        """
        found = []
        for group in (await self.client.get("/apis")).get("groups") or []:
            if group["name"] in kinds.GROUPS:
                continue
            version = (group.get("preferredVersion") or group["versions"][0])["groupVersion"]
            try:
                served = await self._ask(Kind(version, ""))
            except ApiError:
                continue  # An aggregated API that is down tells nothing.
            found += [(Kind(version, k), at) for k, at in served.items() if at.namespaced]
        return found

    def forget(self) -> None:
        """Ask the cluster anew, because a definition has changed."""
        self._known.clear()
        self._asked.clear()

    async def _find(self, kind: Kind) -> Endpoint | None:
        async with self._lock:
            found = self._known.get(kind.api_version, {}).get(kind.kind)
            if found is not None:
                return found
            asked = self._asked.get(kind.api_version)
            if asked is None or time.monotonic() - asked > _MISS_SECONDS:
                self._known[kind.api_version] = await self._ask(kind)
                self._asked[kind.api_version] = time.monotonic()
            return self._known[kind.api_version].get(kind.kind)

    async def _served_versions(self, group: str) -> list[str]:
        """Return the versions of a group that the cluster serves, the preferred one first."""
        if not group:
            return ["v1"]
        groups = (await self.client.get("/apis")).get("groups") or []
        versions = [
            version["groupVersion"]
            for each in groups
            if each["name"] == group
            for version in (each.get("preferredVersion"), *each["versions"])
            if version
        ]
        return list(dict.fromkeys(versions))

    async def _ask(self, kind: Kind) -> dict[str, Endpoint]:
        root = "/apis" if kind.group else "/api"
        try:
            answer: dict[str, Any] = await self.client.get(f"{root}/{kind.api_version}")
        except ApiError as error:
            if error.code == 404:
                return {}
            raise
        return {
            resource["kind"]: Endpoint(resource["name"], bool(resource["namespaced"]))
            for resource in answer.get("resources") or []
            if "/" not in resource["name"]
        }
