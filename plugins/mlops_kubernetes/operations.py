"""Create, read, update and delete of one object."""

import copy
import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from mlops_kubernetes import annotations, awaiting, drift, kinds, managed_fields, objects, paths
from mlops_kubernetes.applying import (
    FieldConflictError,
    ImmutableFieldError,
    ObjectExistsError,
    OperationError,
    apply,
    patiently,
)
from mlops_kubernetes.awaiting.verdict import Verdict
from mlops_kubernetes.cancellation import CancelledByUserError
from mlops_kubernetes.client import (
    ApiError,
    NotKubernetesError,
    NotServedError,
    UnreachableError,
)
from mlops_kubernetes.cluster import Cluster
from mlops_kubernetes.company import taken_along
from mlops_kubernetes.diagnostics import explain
from mlops_kubernetes.discovery import Location, UnknownKindError, UnservedObjectsError
from mlops_kubernetes.engine import Log
from mlops_kubernetes.kinds import Kind
from mlops_kubernetes.settings import OFFICIAL
from mlops_kubernetes.values import Properties
from mlops_kubernetes.watching import ClusterLook, NotReadyError, held_by, until_gone, until_ready

DEFAULT_SECONDS: Final = 600.0
"""How long an object may take to become ready or to go, where nobody says otherwise."""
_DROPPED: Final = "dropped from the stack, because deleteUnreachable is set"
_MANAGER_PREFIX: Final = "pulumi-kubernetes-"
NO_STACK_ID: Final = "none"
"""As a former stack's id: that of stacks whose field managers the URN alone makes."""


class InitializationError(Exception):
    """An object exists but is not what it should be; the stack keeps it.

    Attributes:
        identity: the resource's id.
        state: the object's state.
        inputs: the inputs that it was made from.
        reasons: why it is not ready, the first one first.
    """

    def __init__(
        self, identity: str, state: Properties, inputs: Properties, reasons: list[str]
    ) -> None:
        super().__init__("; ".join(reasons))
        self.identity = identity
        self.state = state
        self.inputs = inputs
        self.reasons = reasons


@dataclass(frozen=True, kw_only=True)
class Result:
    """An object after an operation."""

    identity: str
    state: Properties


@dataclass(frozen=True, kw_only=True)
class Found:
    """An object as a read found it; an empty identity when it does not exist."""

    identity: str = ""
    state: Properties = field(default_factory=lambda: Properties(value={}))
    inputs: Properties = field(default_factory=lambda: Properties(value={}))


@dataclass(frozen=True, kw_only=True)
class Operations:
    """The operations on one resource.

    Attributes:
        cluster: where the object lives.
        urn: of the resource.
        patch: the resource patches an object that it does not own.
        log: for messages about the resource.
    """

    cluster: Cluster
    urn: str
    patch: bool
    log: Log

    async def preview_create(self, inputs: Properties) -> Properties:
        """Return the state that a creation would lead to.

        The cluster is asked by a dry run; when it, the namespace or the kind does not exist yet,
        the inputs are all there is to show.

        Raises:
            OperationError: the cluster would refuse the object.
            FieldConflictError: other field managers own fields of the object to patch.
        """
        from_inputs = objects.preview_of_creation(inputs.value, inputs)
        if not inputs.known:
            return from_inputs
        contested = False
        try:
            self.cluster.client.fail_fast()
            location = await self.cluster.locate(inputs.value)
            contested = await self._is_taken(location)
            if contested:
                await self.log.warning(
                    f"{location.kind.kind} {location.identity} exists already; unless the update "
                    "removes it first, creating it will fail"
                )
            live, warnings = await self._send(
                location, inputs.value, self._new_manager(inputs), dry_run=True
            )
        except NotKubernetesError:
            raise
        except (UnreachableError, UnknownKindError):
            return from_inputs
        except (ImmutableFieldError, FieldConflictError):
            # An object that is there may be the one that this creation replaces.
            if not contested:
                raise
            return from_inputs
        except ApiError as error:
            if error.code == 404:
                return from_inputs
            raise OperationError(str(error)) from error
        await self._pass_on(warnings)
        return objects.preview_of_creation(live, inputs)

    async def create(self, inputs: Properties, seconds: float) -> Result:
        """Create an object and wait until it is ready.

        Args:
            inputs: the resource's inputs.
            seconds: how long it may take; zero for the annotation's or the default.

        Raises:
            InitializationError: the object exists but is not ready.
            OperationError: the cluster refused the object.
            ObjectExistsError: the object exists and is not the stack's.
            FieldConflictError: other field managers own some of the fields.
            UnreachableError: there is no cluster.
            CancelledByUserError: the user cancelled before the object existed.
        """
        manager = self._new_manager(inputs)

        async def attempt() -> tuple[Location, dict[str, Any], list[str]]:
            location = await self.cluster.locate(inputs.value)
            await self._await_removal_of_old(location, inputs.value)
            await self._refuse_taken(location)
            live, warnings = await self._send(location, inputs.value, manager)
            return location, live, warnings

        try:
            location, live, warnings = await patiently(
                attempt, cancellation=self.cluster.cancellation, log=self.log
            )
        except ApiError as error:
            raise OperationError(str(error)) from error
        await self._pass_on(warnings)
        location = self.cluster.place(
            location.kind, location.endpoint, location.namespace, live["metadata"]["name"]
        )
        return await self._settle(location, live, inputs, manager, seconds)

    async def preview_update(
        self, identity: str, old_state: Properties, inputs: Properties, ignored: list[str]
    ) -> Properties:
        """Return the state that an update would lead to.

        Raises:
            OperationError: the cluster would refuse the object.
            ImmutableFieldError: a changed field cannot change in place.
            FieldConflictError: other field managers own some of the fields.
        """
        from_inputs = objects.preview_of_update(old_state.value, inputs)
        if not inputs.known:
            return from_inputs
        manager = self._manager(old_state, inputs)
        try:
            self.cluster.client.fail_fast()
            location = await self._locate_old(identity, inputs.value)
            body = await self._without_ignored(location, inputs.value, ignored)
            live, warnings = await self._send(location, body, manager, dry_run=True)
        except NotKubernetesError:
            raise
        except (UnreachableError, UnknownKindError):
            return from_inputs
        except ApiError as error:
            if error.code == 404:
                return from_inputs
            raise OperationError(str(error)) from error
        await self._pass_on(warnings)
        return objects.state(live, inputs, manager=manager)

    async def update(
        self,
        identity: str,
        old_state: Properties,
        inputs: Properties,
        ignored: list[str],
        seconds: float,
    ) -> Result:
        """Update an object in place and wait until it is ready.

        Args:
            identity: the resource's id.
            old_state: the object as it was seen last.
            inputs: the resource's new inputs.
            ignored: paths of `ignore_changes`.
            seconds: how long it may take; zero for the annotation's or the default.

        Raises:
            InitializationError: the object is updated but not ready.
            OperationError: the cluster refused the object.
            ImmutableFieldError: a changed field cannot change in place.
            FieldConflictError: other field managers own some of the fields.
            UnreachableError: there is no cluster.
        """
        manager = self._manager(old_state, inputs)

        async def attempt() -> tuple[Location, dict[str, Any], list[str]]:
            location = await self._locate_old(identity, inputs.value)
            body = await self._without_ignored(location, inputs.value, ignored)
            live, warnings = await self._send(location, body, manager)
            return location, live, warnings

        try:
            location, live, warnings = await patiently(
                attempt, cancellation=self.cluster.cancellation, log=self.log
            )
        except ApiError as error:
            raise OperationError(str(error)) from error
        except UnreachableError as error:
            if not self.cluster.settings.skip_update_unreachable:
                raise
            await self.log.warning(f"not updated, because skipUpdateUnreachable is set: {error}")
            return Result(identity=identity, state=old_state)
        await self._pass_on(warnings)
        return await self._settle(location, live, inputs, manager, seconds)

    async def delete(
        self, identity: str, old_state: Properties, old_inputs: Properties, seconds: float
    ) -> None:
        """Delete an object and wait until it is gone; give up a patch's fields.

        Raises:
            OperationError: the cluster refused, or the object is still there in the end.
            UnreachableError: there is no cluster, and it does not count as deleted.
            CancelledByUserError: the user cancelled; the cluster goes on deleting.
        """
        known = old_inputs.value or old_state.value
        try:
            found = await self._find(identity, kinds.of_object(known))
            if found is None:
                return
            if self.patch:
                await self._relinquish(found[0], self._manager(old_state, old_inputs))
            else:
                await self._delete(*found, known, seconds)
        except UnreachableError as error:
            if not self.cluster.settings.delete_unreachable:
                raise UnreachableError(
                    f"{error}. If the cluster is gone for good, set PULUMI_K8S_DELETE_UNREACHABLE="
                    "true or the provider's deleteUnreachable to drop its objects from the stack"
                ) from error
            await self.log.warning(f"{_DROPPED}: {error}")
        except (ApiError, UnservedObjectsError) as error:
            raise OperationError(str(error)) from error

    async def read(
        self, identity: str, kind: Kind, old_state: Properties, old_inputs: Properties
    ) -> Found:
        """Read an object: for a refresh, with the drift in its inputs; or for an import.

        Raises:
            InitializationError: the object is not ready.
            OperationError: the cluster refused.
            UnreachableError: there is no cluster, and it does not count as deleted.
        """
        try:
            found = await self._find(identity, kind)
        except UnreachableError as error:
            if not self.cluster.settings.delete_unreachable:
                raise
            await self.log.warning(f"{_DROPPED}: {error}")
            return Found()
        except (ApiError, UnservedObjectsError) as error:
            raise OperationError(str(error)) from error
        if found is None:
            return Found()
        location, live = found
        if not old_inputs.value:
            return self._imported(location, live)
        manager = self._manager(old_state, old_inputs)
        inputs = await self._refreshed(location, live, old_inputs, manager)
        state = objects.state(live, inputs, manager=manager)
        if not self.patch:
            await self._report_unready(location, live, inputs, state)
        return Found(identity=location.identity, state=state, inputs=inputs)

    # Steps of the operations.

    async def _send(
        self, location: Location, value: dict[str, Any], manager: str, *, dry_run: bool = False
    ) -> tuple[dict[str, Any], list[str]]:
        client = self.cluster.client
        if not location.name:
            body = objects.manifest(value, namespace=location.namespace)
            return await client.create(location.collection, body, manager=manager, dry_run=dry_run)
        body = objects.manifest(value, namespace=location.namespace, name=location.name)
        forced = annotations.flag(value, annotations.PATCH_FORCE)
        force = self.cluster.settings.patch_force if forced is None else forced
        if "generateName" in (value.get("metadata") or {}):
            # Such an object was created, not applied: in the server's eyes by another manager.
            force = True
        inherited = await self._is_inherited(location)
        live, warnings = await apply(
            client, location, body, manager=manager, force=force or inherited, dry_run=dry_run
        )
        if inherited and not dry_run:
            await self._relinquish(location, self._former_manager())
            live = await client.get(location.path)
        return live, warnings

    async def _is_inherited(self, location: Location) -> bool:
        """Tell whether the object is one that the stack has taken over from another."""
        if self.patch or not self.cluster.settings.former_stack_id:
            return False
        live = await self.cluster.client.get_or_none(location.path)
        return live is not None and self._former_manager() in _managers(live)

    async def name_of_left(self, value: dict[str, Any]) -> str:
        """Return the name of an object that is there for the resource already, or nothing.

        A former stack has made it, or a run that was killed before it could say so. Its data would
        stay behind in it if another got an automatic name.
        """
        try:
            self.cluster.client.fail_fast()
            location = await self.cluster.locate(value)
            found = await self.cluster.client.get(location.collection)
        except (UnreachableError, UnknownKindError, ApiError):
            return ""  # What is not there yet holds nothing to inherit.
        managers = {self._own_manager(), self._former_manager()}
        names = [
            str(item["metadata"]["name"])
            for item in found.get("items") or []
            if _managers(item) & managers and not _is_being_deleted(item)
        ]
        return min(names, default="")

    async def _settle(
        self,
        location: Location,
        live: dict[str, Any],
        inputs: Properties,
        manager: str,
        seconds: float,
    ) -> Result:
        """Wait until an object is ready; on failure keep what is known of it."""
        judge = None if self.patch else awaiting.judge_of(inputs.value)
        if location.kind.kind == "CustomResourceDefinition":
            self.cluster.discovery.forget()
        if judge is None:
            return Result(
                identity=location.identity, state=objects.state(live, inputs, manager=manager)
            )
        patience = seconds or annotations.timeout_seconds(inputs.value) or DEFAULT_SECONDS
        seen: dict[str, Any] = {"live": live}
        discovery = self.cluster.discovery
        try:
            live = await self.cluster.cancellation.run(
                until_ready(discovery, location, judge, self.log, seen), seconds=patience
            )
        except (TimeoutError, NotReadyError, CancelledByUserError) as error:
            raise await self._unready(
                location, seen, inputs, manager, _reason(error, seen, patience)
            ) from error
        if location.kind.kind == "CustomResourceDefinition":
            self.cluster.discovery.forget()
        return Result(
            identity=location.identity, state=objects.state(live, inputs, manager=manager)
        )

    async def _unready(
        self,
        location: Location,
        seen: dict[str, Any],
        inputs: Properties,
        manager: str,
        reason: str,
    ) -> InitializationError:
        live = seen["live"]
        await self.log.status("")
        what = f"{location.kind.kind} {location.identity}"
        reasons = [f"{what} {reason}", *await explain(self.cluster.client, live, self.log.clean)]
        state = objects.state(live, inputs, manager=manager)
        return InitializationError(location.identity, state, inputs, reasons)

    async def _report_unready(
        self, location: Location, live: dict[str, Any], inputs: Properties, state: Properties
    ) -> None:
        """Raise if an object that should be ready is not, without waiting for it."""
        judge = awaiting.judge_of(inputs.value)
        if judge is None:
            return
        try:
            verdict = await judge(live, ClusterLook(self.cluster.client))
        except (ApiError, UnreachableError):
            return
        if not verdict.ready:
            what = f"{location.kind.kind} {location.identity}"
            reasons = [f"{what} is not ready: {verdict.message}"]
            raise InitializationError(location.identity, state, inputs, reasons)

    async def _refuse_taken(self, location: Location) -> None:
        """Make sure that a creation creates."""
        if await self._is_taken(location):
            raise ObjectExistsError(
                f"{location.kind.kind} {location.identity} exists already and is not this "
                "resource's; import it (resource option import_ with id "
                f"{location.identity!r}), give it another name, or set the provider's "
                "upsertExistingObjects to take it over"
            )

    async def _is_taken(self, location: Location) -> bool:
        """Tell whether an object exists that a creation must not touch.

        An object with this resource's own field manager is what an interrupted run left behind: it
        is taken up where that run ended.

        Raises:
            OperationError: the object to patch does not exist.
        """
        if not location.name:
            return False
        live = await self.cluster.client.get_or_none(location.path)
        if self.patch:
            if live is None:
                raise OperationError(
                    f"{location.kind.kind} {location.identity} does not exist, so it cannot be "
                    "patched; create it first, or correct metadata.name and namespace"
                )
            return False
        if live is None or self.cluster.settings.upsert or _is_being_deleted(live):
            return False
        return not _managers(live) & {self._own_manager(), self._former_manager()}

    async def _await_removal_of_old(self, location: Location, inputs: dict[str, Any]) -> None:
        """Wait for an object of the same name that is being deleted."""
        if self.patch or not location.name:
            return
        live = await self.cluster.client.get_or_none(location.path)
        if live is None or not _is_being_deleted(live):
            return
        seen: dict[str, Any] = {"live": live}
        try:
            await self.cluster.cancellation.run(
                until_gone(self.cluster.discovery, location, self.log, seen),
                seconds=annotations.timeout_seconds(inputs) or DEFAULT_SECONDS,
            )
        except TimeoutError:
            raise OperationError(
                f"{location.kind.kind} {location.identity} is still being deleted"
                f"{held_by(seen['live'])}"
            ) from None

    async def _without_ignored(
        self, location: Location, value: dict[str, Any], ignored: list[str]
    ) -> dict[str, Any]:
        """Return inputs whose ignored fields have the live values.

        Applying a value that is there already shares its ownership instead of contesting it.
        """
        if not ignored:
            return value
        live = await self.cluster.client.get_or_none(location.path)
        if live is None:
            return value
        body: dict[str, Any] = copy.deepcopy(value)
        for text in ignored:
            for path in paths.parse(text).expand(body):
                current = path.get(live)
                if current is None:
                    path.delete(body)
                else:
                    path.set(body, current)
        return body

    async def _delete(
        self, location: Location, live: dict[str, Any], known: dict[str, Any], seconds: float
    ) -> None:
        client = self.cluster.client
        if company := await taken_along(self.cluster.discovery, location, live):
            what = f"{location.kind.kind} {location.identity}"
            await self.log.warning(f"deleting {what} also deletes {company}")
        policy = annotations.propagation(known)

        async def attempt() -> None:
            try:
                await client.delete(location.path, propagation=policy.value)
            except ApiError as error:
                if not error.says_not_found:
                    raise

        await patiently(attempt, cancellation=self.cluster.cancellation, log=self.log)
        if annotations.skip_await(known):
            return
        patience = seconds or annotations.timeout_seconds(known) or DEFAULT_SECONDS
        seen: dict[str, Any] = {"live": live}
        try:
            await self.cluster.cancellation.run(
                until_gone(self.cluster.discovery, location, self.log, seen),
                seconds=patience,
            )
        except TimeoutError:
            raise OperationError(
                f"{location.kind.kind} {location.identity} is still there after {patience:g} s"
                f"{held_by(seen['live'])}. Deletion goes on in the cluster; find out what holds "
                "it, or wait longer with the annotation pulumi.com/timeoutSeconds or custom "
                "timeouts"
            ) from None
        if location.kind.kind == "CustomResourceDefinition":
            self.cluster.discovery.forget()

    async def _relinquish(self, location: Location, manager: str) -> None:
        """Give up the ownership of a patch's fields: apply nothing in its name."""
        nothing = {
            "apiVersion": location.kind.api_version,
            "kind": location.kind.kind,
            "metadata": {"name": location.name},
        }
        body = objects.manifest(nothing, namespace=location.namespace)
        await self.cluster.client.apply(location.path, body, manager=manager, force=True)

    async def _refreshed(
        self, location: Location, live: dict[str, Any], old_inputs: Properties, manager: str
    ) -> Properties:
        """Return the inputs with the live values where somebody changed them."""
        body = objects.manifest(old_inputs.value, namespace=location.namespace, name=location.name)
        body["apiVersion"] = location.kind.api_version
        try:
            wanted, _ = await self.cluster.client.apply(
                location.path, body, manager=manager, force=True, dry_run=True
            )
        except ApiError:
            # The server would not take the recorded inputs back: compare them as they are.
            wanted = body
        value = drift.drifted_inputs(old_inputs.value, wanted, live)
        return Properties(value=value, secrets=objects.secret_paths(value, old_inputs.secrets))

    def _imported(self, location: Location, live: dict[str, Any]) -> Found:
        value = managed_fields.applied_fields(live) or objects.imported_inputs(live)
        value = objects.imported_inputs(value)
        inputs = Properties(value=value, secrets=objects.secret_paths(value))
        state = objects.state(live, inputs, manager=self._own_manager())
        return Found(identity=location.identity, state=state, inputs=inputs)

    async def _find(self, identity: str, kind: Kind) -> tuple[Location, dict[str, Any]] | None:
        """Return where an object of the stack is, and the object; None when it does not exist.

        Where the version that it was made in is no longer served, it is looked for in another one.

        Raises:
            UnservedObjectsError: the object's kind is no longer served.
            ApiError: the cluster refused to tell.
            UnreachableError: there is no cluster.
        """
        client, discovery = self.cluster.client, self.cluster.discovery
        try:
            location = await self._locate(identity, kind)
            live = await client.get_or_none(location.path)
        except (UnknownKindError, NotServedError):
            discovery.forget()
            now = await discovery.of_existing(kind)
            if now is None:
                return None
            namespace, _, name = identity.rpartition("/")
            location = self.cluster.place(*now, namespace, name)
            live = await client.get_or_none(location.path)
        return None if live is None else (location, live)

    async def _locate_old(self, identity: str, known: dict[str, Any]) -> Location:
        return await self._locate(identity, kinds.of_object(known))

    async def _locate(self, identity: str, kind: Kind) -> Location:
        namespace, _, name = identity.rpartition("/")
        return self.cluster.place(
            kind, await self.cluster.discovery.endpoint(kind), namespace, name
        )

    async def _pass_on(self, warnings: list[str]) -> None:
        quiet = self.cluster.settings.suppress_deprecation_warnings
        for text in warnings:
            if not (quiet and "deprecated" in text):
                await self.log.warning(text)

    def _own_manager(self) -> str:
        """The field manager of this resource, the same in every run of its stack.

        Another stack of the same name has the same URNs: the stack's id tells them apart.
        """
        return field_manager(self.urn, self.cluster.settings.stack_id)

    def _former_manager(self) -> str:
        """The field manager of this resource in the stack that the cluster was taken over from."""
        former = self.cluster.settings.former_stack_id
        return field_manager(self.urn, "" if former == NO_STACK_ID else former) if former else ""

    def _new_manager(self, inputs: Properties) -> str:
        chosen = annotations.read(inputs.value, annotations.PATCH_FIELD_MANAGER)
        return chosen or self._own_manager()

    def _manager(self, old_state: Properties, inputs: Properties) -> str:
        """The field manager that made the object, perhaps another plugin's or another name's."""
        recorded = old_state.value.get(objects.FIELD_MANAGER)
        return recorded if isinstance(recorded, str) and recorded else self._new_manager(inputs)


def field_manager(urn: str, stack_id: str) -> str:
    """Return the field manager of a resource of a stack; an empty id is a stack without one."""
    signed = f"{stack_id}\n{urn}" if stack_id else urn
    return _MANAGER_PREFIX + hashlib.sha256(signed.encode()).hexdigest()[:8]


def unsupported(what: str) -> OperationError:
    """Return the error for something that only the official plugin does."""
    return OperationError(f"{what} is not supported by this plugin; {OFFICIAL}")


def _managers(live: dict[str, Any]) -> set[str]:
    return {str(e.get("manager")) for e in live["metadata"].get("managedFields") or []}


def _is_being_deleted(live: dict[str, Any]) -> bool:
    return "deletionTimestamp" in live["metadata"]


def _reason(error: Exception, seen: dict[str, Any], patience: float) -> str:
    verdict: Verdict = seen.get("verdict", Verdict())
    missing = f": {verdict.message}" if verdict.message else ""
    if isinstance(error, TimeoutError):
        return f"was not ready after {patience:g} s{missing}"
    if isinstance(error, CancelledByUserError):
        return f"was not ready when the update was cancelled{missing}"
    return f"is not ready: {error}"


__all__ = [
    "FieldConflictError",
    "Found",
    "InitializationError",
    "ObjectExistsError",
    "OperationError",
    "Operations",
    "Result",
    "unsupported",
]
