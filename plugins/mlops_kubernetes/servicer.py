"""The ResourceProvider service of Pulumi's protocol (`pulumi/provider.proto` of the pinned SDK)."""

import functools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, NoReturn

import grpc
from google.protobuf import any_pb2, empty_pb2

from mlops_kubernetes import VERSION, annotations, kinds, kubeconfig, naming, schema, settings
from mlops_kubernetes.applying import (
    FieldConflictError,
    ImmutableFieldError,
    ObjectExistsError,
    OperationError,
)
from mlops_kubernetes.awaiting.custom import WaitForError
from mlops_kubernetes.cancellation import Cancellation, CancelledByUserError
from mlops_kubernetes.client import UnreachableError
from mlops_kubernetes.cluster import Cluster
from mlops_kubernetes.components import construct
from mlops_kubernetes.components.manifests import ManifestError
from mlops_kubernetes.diff import Change, Difference, difference
from mlops_kubernetes.discovery import UnknownKindError, UnservedObjectsError
from mlops_kubernetes.engine import Engine, ResourceLog
from mlops_kubernetes.invoking import invoke
from mlops_kubernetes.kubeconfig import KubeconfigError
from mlops_kubernetes.naming import Autonaming, NameRequiredError
from mlops_kubernetes.objects import secret_paths
from mlops_kubernetes.operations import InitializationError, Operations, unsupported
from mlops_kubernetes.redaction import Redaction
from mlops_kubernetes.values import (
    UNKNOWN,
    Properties,
    UnsupportedValueError,
    decode,
    encode,
)

from pulumi.runtime.proto import (  # isort: skip - needs engine's registration of the stubs
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

# What an operation may answer to the user; anything else is a defect and shows its own name.
_ANSWERS: Final = (
    CancelledByUserError,
    FieldConflictError,
    ImmutableFieldError,
    KubeconfigError,
    ManifestError,
    ObjectExistsError,
    OperationError,
    UnknownKindError,
    UnreachableError,
    UnservedObjectsError,
    UnsupportedValueError,
    WaitForError,
    annotations.AnnotationError,
)
_DIFF_KINDS: Final = {
    (Change.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Change.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Change.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Change.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Change.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Change.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}

Handler = Callable[[Any, Any, Any], Awaitable[Any]]


def _answering(handler: Handler) -> Handler:
    """Turn the exceptions of a handler into gRPC errors, without the request's secrets."""

    @functools.wraps(handler)
    async def guarded(self: Any, request: Any, context: Any) -> Any:
        try:
            return await handler(self, request, context)
        except InitializationError as error:
            redaction = _redaction(request, error.inputs, error.state)
            await _abort_partially(context, error, redaction)
        except _ANSWERS as error:
            text = _redaction(request).clean(str(error))
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)

    return guarded


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One plugin process: one configured provider of a stack."""

    def __init__(self, engine_address: str = "") -> None:
        """Start without a cluster; the engine configures it."""
        self._engine_address = engine_address
        self._engine = Engine(engine_address)
        self._cancellation = Cancellation()
        self._cluster: Cluster | None = None
        # URNs of resources that the stack's state has.
        self._recorded: set[str] = set()

    async def Handshake(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Agree on the protocol's features."""
        if request.engine_address and request.engine_address != self._engine_address:
            self._engine = Engine(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True,
            accept_resources=True,
            accept_outputs=True,
            supports_autonaming_configuration=True,
        )

    async def Attach(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Serve another engine, which attached itself to a running plugin."""
        self._engine = Engine(request.address)
        return empty_pb2.Empty()

    async def GetPluginInfo(self, *_: Any) -> Any:  # noqa: N802
        """Return the version of the SDK that the plugin belongs to."""
        return plugin_pb2.PluginInfo(version=VERSION)

    async def GetSchema(self, *_: Any) -> Any:  # noqa: N802
        """Return the package's name, version, provider arguments and components."""
        return provider_pb2.GetSchemaResponse(schema=schema.document())

    async def GetMapping(self, *_: Any) -> Any:  # noqa: N802
        """Offer no mappings from other ecosystems."""
        return provider_pb2.GetMappingResponse()

    async def GetMappings(self, *_: Any) -> Any:  # noqa: N802
        """Offer no mappings from other ecosystems."""
        return provider_pb2.GetMappingsResponse()

    @_answering
    async def Parameterize(self, *_: Any) -> NoReturn:  # noqa: N802
        """Refuse to make a package out of custom definitions."""
        raise unsupported("a parameterized package of custom resource definitions")

    async def CheckConfig(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Refuse provider arguments that cannot be used."""
        try:
            settings.parse(decode(request.news).value)
        except settings.SettingError as error:
            failure = provider_pb2.CheckFailure(property=error.key, reason=str(error))
            return provider_pb2.CheckResponse(failures=[failure])
        return provider_pb2.CheckResponse(inputs=request.news)

    @_answering
    async def DiffConfig(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Replace the provider, and so all of its objects, when it leads to another cluster."""
        olds = decode(request.old_inputs if request.HasField("old_inputs") else request.olds).value
        news = decode(request.news).value
        changed = [
            key for key in {**olds, **news} if key != "version" and olds.get(key) != news.get(key)
        ]
        replaces = _moved_cluster(olds, news) if changed else []
        some = provider_pb2.DiffResponse.DIFF_SOME
        return provider_pb2.DiffResponse(
            changes=some if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=replaces,
        )

    @_answering
    async def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take the provider's arguments; the cluster is reached when it is first needed."""
        try:
            parsed = settings.parse(decode(request.args).value)
        except settings.SettingError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise
        self._cluster = Cluster(parsed, self._cancellation)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True,
            acceptResources=True,
            acceptOutputs=True,
            supportsPreview=True,
            supports_autonaming_configuration=True,
        )

    @_answering
    async def Check(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Name the object, and refuse what can be refused without the cluster."""
        news, olds = decode(request.news), decode(request.olds)
        token = _token(request)
        failures = _refusals(token, news.value)
        value = news.value
        if not failures:
            try:
                if olds.value:
                    self._recorded.add(request.urn)
                old_inputs = olds.value or await self._left(request, news)
                value = self._named(request, token, news.value, old_inputs)
                annotations.validate(value)
            except (NameRequiredError, annotations.AnnotationError) as error:
                failures = [provider_pb2.CheckFailure(property="metadata", reason=str(error))]
        if failures:
            return provider_pb2.CheckResponse(failures=failures)
        return provider_pb2.CheckResponse(inputs=encode(value, secret_paths(value, news.secrets)))

    @_answering
    async def Diff(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Compare inputs with inputs; the cluster is not asked."""
        olds, news = decode(request.olds), decode(request.news)
        old_inputs = decode(request.old_inputs) if request.HasField("old_inputs") else olds
        found = difference(
            old_inputs.value,
            news.value,
            olds.value,
            self._configured.policy,
            patch=kinds.is_patch(_token(request)),
        )
        return _diff_response(found)

    @_answering
    async def Create(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Create an object, or say what creating it would give."""
        inputs = decode(request.properties)
        operations = self._operations(request)
        if request.preview:
            state = await operations.preview_create(inputs)
            return provider_pb2.CreateResponse(properties=encode(state.value, state.secrets))
        made = await operations.create(inputs, request.timeout)
        properties = encode(made.state.value, made.state.secrets)
        return provider_pb2.CreateResponse(id=made.identity, properties=properties)

    @_answering
    async def Update(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Update an object in place, or say what updating it would give."""
        inputs, olds = decode(request.news), decode(request.olds)
        operations = self._operations(request)
        ignored = list(request.ignoreChanges)
        if request.preview:
            state = await operations.preview_update(request.id, olds, inputs, ignored)
        else:
            result = await operations.update(request.id, olds, inputs, ignored, request.timeout)
            state = result.state
        return provider_pb2.UpdateResponse(properties=encode(state.value, state.secrets))

    @_answering
    async def Delete(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Delete an object and wait until it is gone."""
        state, inputs = decode(request.properties), decode(request.old_inputs)
        operations = self._operations(request)
        await operations.delete(request.id, state, inputs, request.timeout)
        return empty_pb2.Empty()

    @_answering
    async def Read(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Read an object for a refresh, an import or a look-up."""
        state, inputs = decode(request.properties), decode(request.inputs)
        token = _token(request)
        kind = kinds.of_object(inputs.value or state.value)
        if not kind.kind:
            kind = kinds.of_type(token) or kind
        if not kind.kind:
            raise unsupported(f"reading a {token}")
        found = await self._operations(request).read(request.id, kind, state, inputs)
        return provider_pb2.ReadResponse(
            id=found.identity,
            properties=encode(found.state.value, found.state.secrets),
            inputs=encode(found.inputs.value, found.inputs.secrets),
        )

    @_answering
    async def Invoke(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Answer the functions that the SDK's own components call."""
        answer = await invoke(request.tok, decode(request.args))
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(encode(answer.value, answer.secrets))
        return response

    @_answering
    async def Call(self, request: Any, _: Any) -> NoReturn:  # noqa: N802
        """Refuse methods: the package has none that this plugin does."""
        raise unsupported(f"calling {request.tok}")

    @_answering
    async def Construct(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Make a component's children."""
        log = ResourceLog(self._engine, "", _redaction(request))
        return await construct(request, self._configured, log)

    async def Cancel(self, *_: Any) -> Any:  # noqa: N802
        """End waiting; what was being waited for is kept in the stack."""
        self.cancel()
        return empty_pb2.Empty()

    def cancel(self) -> None:
        """End waiting operations."""
        self._cancellation.cancel()

    async def close(self) -> None:
        """Close the connections."""
        if self._cluster is not None:
            await self._cluster.close()

    @property
    def _configured(self) -> Cluster:
        if self._cluster is None:
            raise OperationError("the engine has not configured the provider")
        return self._cluster

    def _operations(self, request: Any) -> Operations:
        return Operations(
            cluster=self._configured,
            urn=request.urn,
            patch=kinds.is_patch(_token(request)),
            log=ResourceLog(self._engine, request.urn, _redaction(request)),
        )

    async def _left(self, request: Any, news: Properties) -> dict[str, Any]:
        """Return old inputs for an object that is there under a name that was made up for it.

        A former stack has made it, or a run that was killed before the state knew of it. One that
        the state knows is asked for once more when another object is to replace it: the new one
        needs a name of its own. Stacks without ids are never told apart, so nothing is taken up.
        """
        settings = self._configured.settings
        if not (settings.stack_id or settings.former_stack_id):
            return {}
        if request.urn in self._recorded or not news.known or kinds.is_patch(_token(request)):
            return {}
        metadata = news.value.get("metadata") or {}
        if metadata.get("name") or metadata.get("generateName"):
            return {}
        name = await self._operations(request).name_of_left(news.value)
        if not name:
            return {}
        return {"metadata": {"name": name, "annotations": {naming.ANNOTATION: "true"}}}

    def _named(
        self, request: Any, token: str, value: dict[str, Any], olds: dict[str, Any]
    ) -> dict[str, Any]:
        if kinds.is_patch(token):
            return value
        autonaming = None
        if request.HasField("autonaming"):
            mode = request.autonaming.mode
            autonaming = Autonaming(
                proposed=request.autonaming.proposed_name,
                disabled=mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE,
            )
        return naming.assign_name(
            value,
            olds,
            base=request.urn.rpartition("::")[2],
            seed=request.randomSeed,
            autonaming=autonaming,
        )


def _token(request: Any) -> str:
    """Return the resource's type, which the URN's type part ends with."""
    typed: str = request.type or request.urn.split("::")[2].rpartition("$")[2]
    return typed


def _refusals(token: str, value: dict[str, Any]) -> list[Any]:
    """Return the failures of what is no object that this plugin can make."""
    return [
        provider_pb2.CheckFailure(property=prop, reason=reason)
        for prop, reason in _problems(token, value)
    ]


def _problems(token: str, value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the first problem of an object, as the property and what is wrong with it."""
    kind, metadata = kinds.of_object(value), value.get("metadata")
    if kinds.of_type(token) is None:
        yield "", str(unsupported(f"resource type {token}"))
    elif UNKNOWN in (value.get("kind"), value.get("apiVersion"), metadata):
        return
    elif not kind.kind or not kind.api_version:
        yield "kind", "the object needs apiVersion and kind"
    elif kinds.is_list(value):
        items = "its items are objects of their own: declare each, or use yaml.v2.ConfigGroup"
        yield "items", f"a {kind.kind} cannot be a resource; {items}"
    elif not isinstance(metadata, dict | None):
        yield "metadata", "metadata must be an object"
    elif kinds.is_patch(token) and not (metadata or {}).get("name"):
        yield "metadata.name", "a patch must name the object that it patches"


def _moved_cluster(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    """Return the arguments through which a provider leads to another cluster than before.

    Kubernetes gives clusters no identity: another server URL or certificate authority means another
    cluster, unless the program identifies clusters itself.
    """
    try:
        before, after = settings.parse(olds), settings.parse(news)
    except settings.SettingError:
        return []
    # A program that begins to identify its cluster has not moved by that.
    if before.cluster_identifier and after.cluster_identifier:
        same = before.cluster_identifier == after.cluster_identifier
        return [] if same else ["clusterIdentifier"]
    if not after.known:
        return []
    try:
        was, will_be = (
            kubeconfig.load(s.kubeconfig, context=s.context, cluster=s.cluster).identity
            for s in (before, after)
        )
    except KubeconfigError:
        return []
    keys = ("kubeconfig", "context", "cluster")
    if was == will_be:
        return []
    return [k for k in keys if olds.get(k) != news.get(k)]


def _diff_response(found: Difference) -> Any:
    some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
    detailed = {
        str(path): provider_pb2.PropertyDiff(
            kind=_DIFF_KINDS[change.change, change.replaces], inputDiff=True
        )
        for path, change in found.changes.items()
    }
    return provider_pb2.DiffResponse(
        changes=some if found.changes else none,
        diffs=sorted({str(path.parts[0]) for path in found.changes}),
        replaces=[str(path) for path in found.replaces],
        deleteBeforeReplace=found.delete_before_replace,
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )


def _redaction(request: Any, *others: Properties) -> Redaction:
    """Return what takes the secrets of a request, and of other properties, out of texts."""
    texts = {text for each in others for text in each.secret_texts()}
    for name in ("properties", "news", "olds", "inputs", "old_inputs", "args"):
        struct = getattr(request, name, None)
        if struct is None:
            continue
        try:
            texts |= decode(struct).secret_texts()
        except (UnsupportedValueError, OSError):
            continue
    return Redaction(texts)


async def _abort_partially(context: Any, error: InitializationError, redaction: Redaction) -> None:
    """Fail an operation whose object exists; the engine records it with the reasons."""
    reasons = [redaction.clean(reason) for reason in error.reasons]
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.identity,
        properties=encode(error.state.value, error.state.secrets),
        inputs=encode(error.inputs.value, error.inputs.secrets),
        reasons=reasons,
    )
    packed = any_pb2.Any()
    packed.Pack(detail)
    message = reasons[0]
    status = status_pb2.Status(
        code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[packed]
    )
    await context.abort(
        grpc.StatusCode.UNKNOWN,
        message,
        trailing_metadata=(("grpc-status-details-bin", status.SerializeToString()),),
    )
