"""Versions of the model on every serving engine: made, tested, asked, and removed in that order."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from mlops_rollout import gateway, gateway_configuration, smoke_test
from mlops_rollout.engine import Engine, ModelServer, Version
from mlops_rollout.engines import ENGINES
from mlops_rollout.errors import ServingError
from mlops_rollout.gateway_configuration import Backend, Route
from mlops_rollout.kubectl import Access, Kubectl
from mlops_rollout.sample import Sample

_MODEL: Final = "mlops-platform/model"
_VERSION: Final = "mlops-platform/version"
_DIGEST: Final = "mlops-platform/rollout"
_KEYS: Final = "mlops-platform/keys-digest"
_DELETE_SECONDS: Final = 120


@dataclass(frozen=True, kw_only=True)
class TrafficShare:
    """A version and its share of the requests.

    Attributes:
        version: the version.
        percent: its share, 0 to 100.
    """

    version: Version
    percent: int


@dataclass(frozen=True, kw_only=True)
class RolloutResult:
    """A version that serves on an engine.

    Attributes:
        engine: the engine.
        version: the version's number.
        percent: its share of the requests.
        deployment: name of its manifest.
        roc_auc: of its answers to a labelled sample.
        rows: how many that sample has.
        seconds: from its manifest to its first answer.
    """

    engine: str
    version: str
    percent: int
    deployment: str
    roc_auc: float
    rows: int
    seconds: float


def path(engine: str, namespace: str, name: str) -> str:
    """Return a model's address on an engine, behind the gateway.

    Callers need not know which version answers.
    """
    return Route(engine=engine, namespace=namespace, name=name, backends=()).path


def roll_out(
    shares: Sequence[TrafficShare],
    servers: Sequence[ModelServer],
    *,
    access: Access,
    sample: Callable[[], Sample],
    say: Callable[[str], None] = print,
    record: Mapping[str, Any] | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[RolloutResult]:
    """Let these versions of a model serve on each engine, and send its requests to no other.

    Each version is a manifest with a name that no other had. What is new is made, and asked for
    labelled rows; then the gateway sends requests to it. If anything fails, the routes are as
    before, and what was made is removed. `remove_others` removes what is asked no more.

    Args:
        shares: the versions; percents sum to 100.
        servers: what serves them, all of one model.
        access: how the cluster is reached.
        sample: reads what versions are tested with.
        say: takes a line of progress.
        record: kept beside the routes.
        check: raises when the rollout may not go on.

    Returns:
        Each version on each engine.

    Raises:
        ServingError: a version does not serve, or another rollout came between.
    """
    routes_of = Kubectl(access, gateway.NAMESPACE)
    before = gateway.read(routes_of)
    requests = sample()
    made: list[tuple[ModelServer, str]] = []
    jobs = [(server, share) for server in servers for share in shares]

    def serve(job: tuple[ModelServer, TrafficShare]) -> RolloutResult:
        return _serve(*job, access=access, sample=requests, made=made, say=say)

    with _removed_again(made, access, say), ThreadPoolExecutor(len(jobs)) as pool:
        # The reason of each that fails, not only of the first.
        futures = [pool.submit(serve, job) for job in jobs]
        errors = [str(e) for e in (future.exception() for future in futures) if e]
        if errors:
            raise ServingError("; ".join(dict.fromkeys(errors)))
        served = [future.result() for future in futures]
        check()
        model = name_of(servers)
        files = gateway_configuration.merge(before.files, model, rendered(served, servers))
        records = before.records if record is None else {**before.records, model: record}
        gateway.write(routes_of, files, instead_of=before, records=records)
    return served


def remove_others(
    served: Sequence[RolloutResult], servers: Sequence[ModelServer], *, access: Access
) -> None:
    """Remove the versions that serve no more, except one that the gateway asks nevertheless.

    Raises:
        ServingError: the cluster does not do it.
    """
    routes = gateway.read(Kubectl(access, gateway.NAMESPACE))
    for server in servers:
        keep = [each.deployment for each in served if each.engine == server.engine]
        _remove(server, access, keep=keep, routes=routes)


def name_of(servers: Sequence[ModelServer]) -> str:
    """Return the name of the model that servers serve.

    Raises:
        ValueError: they serve none, or more than one.
    """
    (name,) = {server.name for server in servers}
    return name


def rendered(served: Sequence[RolloutResult], servers: Sequence[ModelServer]) -> dict[str, str]:
    """Return the gateway's files for what serves of a model."""
    return gateway_configuration.render([_route(server, served) for server in servers])


def find(server: ModelServer, version: Version, *, access: Access) -> str:
    """Return the name of what serves a version as these settings say, or nothing.

    Raises:
        ServingError: the API does not give it.
    """
    kubectl = Kubectl(access, server.namespace)
    return _there(kubectl, ENGINES[server.engine], _manifest(server, version))


def versions(server: ModelServer, *, access: Access) -> dict[str, str]:
    """Return the numbers of the versions that are there, by the names of their manifests.

    Raises:
        ServingError: the API does not give them.
    """
    found = Kubectl(access, server.namespace).get(
        _kind(ENGINES[server.engine]), _selector(server.name)
    )
    metadata = [each["metadata"] for each in found]
    return {str(each["name"]): each["labels"].get(_VERSION, "") for each in metadata}


def forget(servers: Sequence[ModelServer], *, access: Access) -> None:
    """Remove every version of a model, and its routes before them; other models serve on.

    Raises:
        ServingError: the cluster does not do it.
    """
    model, kubectl = name_of(servers), Kubectl(access, gateway.NAMESPACE)
    routes = gateway.read(kubectl)
    if gateway_configuration.files_of(routes.files, model):
        files = gateway_configuration.merge(routes.files, model, {})
        records = {name: record for name, record in routes.records.items() if name != model}
        gateway.write(kubectl, files, instead_of=routes, records=records)
    remove(servers, access=access)


def remove(servers: Sequence[ModelServer], *, access: Access) -> None:
    """Remove every version from every engine.

    Raises:
        ServingError: the cluster does not do it.
    """
    for server in servers:
        _remove(server, access, keep=())


def _serve(
    server: ModelServer,
    share: TrafficShare,
    *,
    access: Access,
    sample: Sample,
    made: list[tuple[ModelServer, str]],
    say: Callable[[str], None],
) -> RolloutResult:
    """Return a version that answers sensibly; one that serves already is taken as it is."""
    engine, kubectl = ENGINES[server.engine], Kubectl(access, server.namespace)
    number, start = share.version.number, time.monotonic()
    manifest = _manifest(server, share.version)
    name = _there(kubectl, engine, manifest)
    if not name:
        say(f"{server.engine}: version {number} starts")
        name = kubectl.write("create", manifest)
        made.append((server, name))
    smoke_test.wait(name, lambda: engine.state(name, kubectl.get))
    path, body = engine.request(server.name, sample.rows)
    answer = engine.answer(kubectl.post(engine.service(name), engine.SERVICE_PORT, path, body))
    score, seconds = smoke_test.judge(answer, sample, number), time.monotonic() - start
    say(f"{server.engine}: version {number} answers, ROC AUC {score:.3f} ({seconds:.0f} s)")
    return RolloutResult(
        engine=server.engine,
        version=number,
        percent=share.percent,
        deployment=name,
        roc_auc=score,
        rows=len(sample.rows),
        seconds=round(seconds, 1),
    )


def _manifest(server: ModelServer, version: Version) -> dict[str, Any]:
    body = ENGINES[server.engine].manifest(server, version)
    if server.keys:
        own = body["metadata"].get("annotations", {})
        body["metadata"]["annotations"] = {**own, _KEYS: server.keys}
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    metadata = body["metadata"]
    labels = {_MODEL: server.name, _VERSION: version.number}
    return {
        **body,
        "metadata": {
            **metadata,
            # The cluster adds letters: a version that returns while it still serves from before
            # must not be taken for that, and removed with it.
            "generateName": f"{server.name}-v{version.number}-",
            "labels": {**metadata.get("labels", {}), **labels},
            "annotations": {**metadata.get("annotations", {}), _DIGEST: digest},
        },
    }


def _there(kubectl: Kubectl, engine: Engine, manifest: dict[str, Any]) -> str:
    digest = manifest["metadata"]["annotations"][_DIGEST]
    model = manifest["metadata"]["labels"][_MODEL]
    for each in kubectl.get(_kind(engine), _selector(model)):
        metadata = each["metadata"]
        same = metadata.get("annotations", {}).get(_DIGEST) == digest
        if same and "deletionTimestamp" not in metadata:
            return str(metadata["name"])
    return ""


def _route(server: ModelServer, served: Sequence[RolloutResult]) -> Route:
    engine = ENGINES[server.engine]
    backends = tuple(
        Backend(host=engine.host(each.deployment, server.namespace), weight=each.percent)
        for each in served
        if each.engine == server.engine
    )
    return Route(
        engine=server.engine, namespace=server.namespace, name=server.name, backends=backends
    )


@contextmanager
def _removed_again(
    made: list[tuple[ModelServer, str]], access: Access, say: Callable[[str], None]
) -> Iterator[None]:
    """Remove what was made, should anything fail; that failure is the one to be told."""
    try:
        yield
    except BaseException:
        for server, name in made:
            try:
                if _may_be_asked(server, name, access):
                    say(f"{name} stays: the gateway may send requests to it")
                    continue
                _delete(Kubectl(access, server.namespace), ENGINES[server.engine], [name])
            except ServingError as error:
                say(f"{name} could not be removed again: {error}")
        raise


def _may_be_asked(server: ModelServer, name: str, access: Access) -> bool:
    """Return whether the routes lead to a manifest's servers, or the gateway may not know them."""
    kubectl = Kubectl(access, gateway.NAMESPACE)
    routes = gateway.read(kubectl)
    if not routes.files:
        return False
    host = ENGINES[server.engine].host(name, server.namespace)
    return routes.name(host) or not gateway.is_told(kubectl, routes)


def _remove(
    server: ModelServer,
    access: Access,
    *,
    keep: Sequence[str],
    routes: gateway.Routes | None = None,
) -> None:
    engine, kubectl = ENGINES[server.engine], Kubectl(access, server.namespace)
    found = [
        str(each["metadata"]["name"]) for each in kubectl.get(_kind(engine), _selector(server.name))
    ]
    asked = [n for n in found if routes and routes.name(engine.host(n, server.namespace))]
    _delete(kubectl, engine, [name for name in found if name not in (*keep, *asked)])


def _delete(kubectl: Kubectl, engine: Engine, names: Sequence[str]) -> None:
    if names:
        words = ("delete", *(f"{_kind(engine)}/{name}" for name in names), "--ignore-not-found")
        kubectl.run(*words, seconds=_DELETE_SECONDS)


def _selector(model: str) -> str:
    return f"--selector={_MODEL}={model}"


def _kind(engine: Engine) -> str:
    return f"{engine.KIND.lower()}s.{engine.API_VERSION.partition('/')[0]}"
