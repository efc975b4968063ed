"""The part of Pulumi's ResourceProvider service that the `pulumi_aws` SDK's resources need."""

import asyncio
import functools
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf import empty_pb2

from mlops_aws_standin import VERSION, sdk_types
from mlops_aws_standin.clients import AccountError, Aws, NotLocalError
from mlops_aws_standin.kind import Kind, Values, is_missing
from mlops_aws_standin.kinds import KINDS
from mlops_aws_standin.unchecked import UncheckedError
from mlops_kubernetes.engine import CHANNEL_OPTIONS as _REGISTERED
from mlops_kubernetes.values import UNKNOWN, Properties, decode, encode, without_nulls

from pulumi.runtime.proto import (  # isort: skip - needs engine's registration of the stubs
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

assert _REGISTERED  # noqa: S101 - the import above registers the stubs' packages

_SKIPPED = ("skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation")
"""Arguments that the SDK sets by itself, and that mean nothing to moto."""
_PROVIDER_KEYS = frozenset({"region", "allowedAccountIds", "defaultTags", "version", *_SKIPPED})
Handler = Callable[[Any, Any, Any], Awaitable[Any]]


def _answering(handler: Handler) -> Handler:
    """Turn what AWS refuses into the engine's error."""

    @functools.wraps(handler)
    async def guarded(self: Any, request: Any, context: Any) -> Any:
        try:
            return await handler(self, request, context)
        except (
            ClientError,
            BotoCoreError,
            AccountError,
            NotLocalError,
            UncheckedError,
            sdk_types.UnknownTypeError,
        ) as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    return guarded


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One configured provider: a region, and the tags that all of its resources bear."""

    def __init__(self) -> None:
        """Start without a region; the engine configures it."""
        self._aws: Aws | None = None
        self._tags: dict[str, str] = {}

    def cancel(self) -> None:
        """Let running calls end; each is short."""

    async def close(self) -> None:
        """Keep nothing open."""

    async def Handshake(self, *_: Any) -> Any:  # noqa: N802
        """Agree on the protocol's features."""
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=False, accept_outputs=True
        )

    async def GetPluginInfo(self, *_: Any) -> Any:  # noqa: N802
        """Return the version of the SDK that the plugin belongs to."""
        return plugin_pb2.PluginInfo(version=VERSION)

    async def Cancel(self, *_: Any) -> Any:  # noqa: N802
        """Let running calls end."""
        return empty_pb2.Empty()

    async def CheckConfig(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Refuse provider arguments that the stand-in would ignore."""
        news = _json_members(decode(request.news).value)
        failures = [
            provider_pb2.CheckFailure(
                property=key,
                reason=f"the stand-in has no provider argument {key!r}; it has "
                f"{', '.join(sorted(_PROVIDER_KEYS))}",
            )
            for key in news
            if key not in _PROVIDER_KEYS
        ]
        if not news.get("region"):
            failures.append(provider_pb2.CheckFailure(property="region", reason="name a region"))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    async def DiffConfig(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Replace the provider, and so all of its resources, for another region."""
        olds = decode(request.old_inputs if request.HasField("old_inputs") else request.olds).value
        news = decode(request.news).value
        changed = [
            key for key in {**olds, **news} if key != "version" and olds.get(key) != news.get(key)
        ]
        return _diff(changed, [key for key in changed if key == "region"])

    @_answering
    async def Configure(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Take region, account and default tags."""
        arguments = _json_members(decode(request.args).value)
        self._aws = Aws(str(arguments["region"]))
        allowed = arguments.get("allowedAccountIds") or []
        account = self._aws.client("sts").get_caller_identity()["Account"] if allowed else ""
        if allowed and account not in allowed:
            raise AccountError(f"AWS account ID not allowed: {account}")
        self._tags = (arguments.get("defaultTags") or {}).get("tags") or {}
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, acceptResources=False, acceptOutputs=True, supportsPreview=True
        )

    @_answering
    async def Check(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Hold the inputs against the SDK's types, name the resource, add the default tags."""
        news, olds = decode(request.news), decode(request.olds)
        token = _token(request)
        kind = _kind(token)
        values: Values = without_nulls(news.value)
        failures = [
            provider_pb2.CheckFailure(property=path, reason=reason)
            for path, reason in sdk_types.problems(token, values)
        ]
        if failures:
            return provider_pb2.CheckResponse(failures=failures)
        if kind.name and kind.name not in values:
            named = olds.value.get(kind.name) or _automatic_name(request, kind.name)
            values[kind.name] = named
        if sdk_types.has_property(token, "tags"):
            values["tagsAll"] = {**self._tags, **(values.get("tags") or {})}
        return provider_pb2.CheckResponse(inputs=encode(values, news.secrets))

    @_answering
    async def Diff(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Compare inputs with inputs, after a refresh with what AWS holds."""
        olds = decode(request.old_inputs if request.HasField("old_inputs") else request.olds).value
        news = decode(request.news).value
        kind = _kind(_token(request))
        ignored = set(request.ignoreChanges)
        changed = [
            key
            for key in sorted({**olds, **news})
            if key not in ignored and olds.get(key) != news.get(key)
        ]
        in_place = kind.in_place | {"tags", "tagsAll"} if kind.update else frozenset()
        return _diff(changed, [key for key in changed if key not in in_place])

    @_answering
    async def Create(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Make a resource; in a preview, say which outputs it will have."""
        inputs = decode(request.properties)
        kind = _kind(_token(request))
        if request.preview:
            unknown = dict.fromkeys(kind.computed, UNKNOWN)
            state = encode({**unknown, **inputs.value}, inputs.secrets)
            return provider_pb2.CreateResponse(properties=state)
        identity, outputs = await asyncio.to_thread(kind.create, self._configured, inputs.value)
        return provider_pb2.CreateResponse(
            id=identity, properties=encode({**inputs.value, **outputs}, inputs.secrets)
        )

    @_answering
    async def Update(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Change a resource in place."""
        inputs, olds = decode(request.news), decode(request.olds)
        kind = _kind(_token(request))
        kept = {key: olds.value[key] for key in kind.computed if key in olds.value}
        if not request.preview and kind.update:
            await asyncio.to_thread(
                kind.update, self._configured, request.id, {**kept, **inputs.value}
            )
        return provider_pb2.UpdateResponse(
            properties=encode({**kept, **inputs.value}, inputs.secrets)
        )

    @_answering
    async def Delete(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Delete a resource; one that is gone is as good as deleted."""
        state = decode(request.properties).value
        kind = _kind(_token(request))
        try:
            await asyncio.to_thread(kind.delete, self._configured, request.id, state)
        except ClientError as error:
            if not is_missing(error):
                raise
        return empty_pb2.Empty()

    @_answering
    async def Read(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Return a resource as AWS has it; no id when it is gone."""
        state, inputs = decode(request.properties), decode(request.inputs)
        seen = await asyncio.to_thread(
            _read, _kind(_token(request)), self._configured, request.id, state
        )
        if seen is None:
            return provider_pb2.ReadResponse()
        drifted = {key: seen[key] for key in inputs.value if key in seen}
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=encode({**state.value, **seen}, state.secrets),
            inputs=encode({**inputs.value, **drifted}, inputs.secrets),
        )

    @_answering
    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuse functions: the program calls none, so that a preview needs no credentials."""
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED, f"the stand-in of aws has no function {request.tok}"
        )

    @property
    def _configured(self) -> Aws:
        if self._aws is None:
            raise NotLocalError("the provider is not configured")
        return self._aws


def _read(kind: Kind, aws: Aws, identity: str, state: Properties) -> Values | None:
    try:
        return kind.read(aws, identity, state.value)
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def _kind(token: str) -> Kind:
    sdk_types.arguments(token)
    if token not in KINDS:
        raise sdk_types.UnknownTypeError(
            f"the stand-in of the aws plugin does not know {token}; it knows "
            f"{', '.join(sorted(KINDS))}. Add it in plugins/mlops_aws_standin/kinds"
        )
    return KINDS[token]


def _token(request: Any) -> str:
    return str(request.type or request.urn.split("::")[2].rpartition("$")[2])


def _automatic_name(request: Any, _property: str) -> str:
    base = str(request.urn).rpartition("::")[2].lower()
    seed = bytes(request.randomSeed)
    suffix = seed.hex()[:7] if seed else secrets.token_hex(4)[:7]
    return f"{base}-{suffix}"


def _json_members(values: Values) -> Values:
    """Return provider arguments with their nested ones, which travel as JSON texts, parsed."""
    import json  # noqa: PLC0415

    return {
        key: json.loads(value) if isinstance(value, str) and value[:1] in "{[" and value else value
        for key, value in values.items()
    }


def _diff(changed: list[str], replaces: list[str]) -> Any:
    none, some = provider_pb2.DiffResponse.DIFF_NONE, provider_pb2.DiffResponse.DIFF_SOME
    return provider_pb2.DiffResponse(
        changes=some if changed else none,
        diffs=changed,
        replaces=replaces,
        # Most AWS names are unique; the automatic ones allow making the new resource first.
        deleteBeforeReplace=False,
    )
