"""Versions of the model on every serving engine: made, tested, asked, and removed in that order."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from flight_rollout import gateway, gateway_configuration, smoke_test
from flight_rollout.engine import Engine, ModelServer, Version
from flight_rollout.engines import ENGINES
from flight_rollout.errors import ServingError
from flight_rollout.gateway_configuration import Backend, Route
from flight_rollout.kubectl import Access, Kubectl
from flight_rollout.labelled_sample import Sample

# In addresses and names; callers need not know which version answers.
NAME: Final = "flight-delay"
MONTH, FLIGHTS = 5, 400
_MODEL: Final = "mlops-platform/model"
_VERSION: Final = "mlops-platform/version"
_DIGEST: Final = "mlops-platform/rollout"
_SELECTOR: Final = f"{_MODEL}={NAME}"
_DELETE_SECONDS: Final = 120


@dataclass(frozen=True, kw_only=True)
class Share:
    """A version and its share of the requests.

    Attributes:
        version: the version.
        percent: its share, 0 to 100.
    """

    version: Version
    percent: int


@dataclass(frozen=True, kw_only=True)
class Served:
    """A version that serves on an engine.

    Attributes:
        engine: the engine.
        version: the version's number.
        percent: its share of the requests.
        deployment: name of its manifest.
        roc_auc: of its answers to a labelled sample.
        seconds: from its manifest to its first answer.
    """

    engine: str
    version: str
    percent: int
    deployment: str
    roc_auc: float
    seconds: float


def path(engine: str, namespace: str) -> str:
    """Return the model's address on an engine, behind the gateway."""
    return Route(engine=engine, namespace=namespace, name=NAME, backends=()).path


def roll_out(
    shares: Sequence[Share],
    servers: Sequence[ModelServer],
    *,
    access: Access,
    sample: Callable[[], Sample],
    say: Callable[[str], None] = print,
) -> list[Served]:
    """Let these versions, and no other, serve on each engine.

    Each version is a manifest with a name that no other had. What is new is made, and asked for
    labelled flights; then the gateway sends requests to it; what is not wanted any more goes last.
    If anything fails before that, what was made is removed, and everything serves as before.

    Args:
        shares: the versions; percents sum to 100.
        servers: what serves them.
        access: how the cluster is reached.
        sample: reads the flights of the test.
        say: takes a line of progress.

    Returns:
        Each version on each engine.

    Raises:
        ServingError: a version does not serve, or another rollout came between.
    """
    routes_of = Kubectl(access, gateway.NAMESPACE)
    before = gateway.read(routes_of)
    flights = sample()
    made: list[tuple[ModelServer, str]] = []
    jobs = [(server, share) for server in servers for share in shares]

    def serve(job: tuple[ModelServer, Share]) -> Served:
        return _serve(*job, access=access, sample=flights, made=made, say=say)

    with _removed_again(made, access), ThreadPoolExecutor(len(jobs)) as pool:
        # The reason of each that fails, not only of the first.
        futures = [pool.submit(serve, job) for job in jobs]
        errors = [str(e) for e in (future.exception() for future in futures) if e]
        if errors:
            raise ServingError("; ".join(dict.fromkeys(errors)))
        served = [future.result() for future in futures]
        routes = [_route(server, served) for server in servers]
        gateway.write(routes_of, gateway_configuration.render(routes), instead_of=before)
    for server in servers:
        _remove(server, access, keep=[s.deployment for s in served if s.engine == server.engine])
    return served


def remove(servers: Sequence[ModelServer], *, access: Access) -> None:
    """Remove every version from every engine.

    Raises:
        ServingError: the cluster does not do it.
    """
    for server in servers:
        _remove(server, access, keep=())


def _serve(
    server: ModelServer,
    share: Share,
    *,
    access: Access,
    sample: Sample,
    made: list[tuple[ModelServer, str]],
    say: Callable[[str], None],
) -> Served:
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
    path, body = engine.request(sample.rows)
    answer = engine.answer(kubectl.post(engine.service(name), engine.SERVICE_PORT, path, body))
    score, seconds = smoke_test.judge(answer, sample.late, number), time.monotonic() - start
    say(f"{server.engine}: version {number} answers, ROC AUC {score:.3f} ({seconds:.0f} s)")
    return Served(
        engine=server.engine,
        version=number,
        percent=share.percent,
        deployment=name,
        roc_auc=score,
        seconds=round(seconds, 1),
    )


def _manifest(server: ModelServer, version: Version) -> dict[str, Any]:
    body = ENGINES[server.engine].manifest(server, version)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    metadata = body["metadata"]
    labels = {_MODEL: NAME, _VERSION: version.number}
    return {
        **body,
        "metadata": {
            **metadata,
            # The cluster adds letters: a version that returns while it still serves from before
            # must not be taken for that, and removed with it.
            "generateName": f"{NAME}-v{version.number}-",
            "labels": {**metadata.get("labels", {}), **labels},
            "annotations": {**metadata.get("annotations", {}), _DIGEST: digest},
        },
    }


def _there(kubectl: Kubectl, engine: Engine, manifest: dict[str, Any]) -> str:
    digest = manifest["metadata"]["annotations"][_DIGEST]
    for each in kubectl.get(_kind(engine), f"--selector={_SELECTOR}"):
        metadata = each["metadata"]
        same = metadata.get("annotations", {}).get(_DIGEST) == digest
        if same and "deletionTimestamp" not in metadata:
            return str(metadata["name"])
    return ""


def _route(server: ModelServer, served: Sequence[Served]) -> Route:
    engine = ENGINES[server.engine]
    backends = tuple(
        Backend(host=engine.host(each.deployment, server.namespace), weight=each.percent)
        for each in served
        if each.engine == server.engine
    )
    return Route(engine=server.engine, namespace=server.namespace, name=NAME, backends=backends)


@contextmanager
def _removed_again(made: list[tuple[ModelServer, str]], access: Access) -> Iterator[None]:
    """Remove what was made, should anything fail; that failure is the one to be told."""
    try:
        yield
    except BaseException:
        for server, name in made:
            engine = ENGINES[server.engine]
            try:
                _delete(Kubectl(access, server.namespace), engine, [name])
            except ServingError as error:
                print(f"could not be removed again: {error}", flush=True)
        raise


def _remove(server: ModelServer, access: Access, *, keep: Sequence[str]) -> None:
    engine, kubectl = ENGINES[server.engine], Kubectl(access, server.namespace)
    found = kubectl.get(_kind(engine), f"--selector={_SELECTOR}")
    _delete(kubectl, engine, [n for each in found if (n := each["metadata"]["name"]) not in keep])


def _delete(kubectl: Kubectl, engine: Engine, names: Sequence[str]) -> None:
    if names:
        words = ("delete", *(f"{_kind(engine)}/{name}" for name in names), "--ignore-not-found")
        kubectl.run(*words, seconds=_DELETE_SECONDS)


def _kind(engine: Engine) -> str:
    return f"{engine.KIND.lower()}s.{engine.API_VERSION.partition('/')[0]}"
