"""A model server that has proved itself: it is ready, and answers real flights sensibly."""

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from mlops_toolchain import layout
from mlops_workloads import inference_service, seldon_deployment
from mlops_workloads.serving_engine import Answer, Engine, State

ENGINES: Final[Mapping[str, Engine]] = {
    "kserve": inference_service,
    "seldon": seldon_deployment,
}

_WAIT_SECONDS = 300
# A failure that lasts is one: an object store that starts later mends others.
_PATIENCE_SECONDS = 90
_KUBECTL_SECONDS = 30
_MONTH, _FLIGHTS = 5, 400
# Chance is 0.5; the pipeline promotes nothing that is near it.
_LEAST_AUC = 0.55
# What a test was of; another of these is tested again.
_TESTED = ("engine", "deployment", "namespace", "version", "manifest")


class ServingError(Exception):
    """A version does not serve; the message gives the reason. Older versions serve on."""


class Kubectl:
    """kubectl with a stack's own kubeconfig, which works on every cluster."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self._kubeconfig, self._namespace = kubeconfig, namespace

    def get(self, *words: str) -> list[dict[str, Any]]:
        """Return those that exist of the objects that the words of `kubectl get` name.

        Raises:
            ServingError: the API does not give them.
        """
        text = self._run("get", *words, "--ignore-not-found", "--output", "json")
        found: dict[str, Any] = json.loads(text or '{"items": []}')
        return list(found["items"]) if "items" in found else [found]

    def post(self, service: str, port: int, path: str, body: Any) -> dict[str, Any]:
        """Return a Service's answer to a JSON document, through a forwarded port.

        Raises:
            ServingError: it does not answer, or with an error.
        """
        import httpx  # noqa: PLC0415 - only the provider's process talks to a server

        with (
            self._command("port-forward", f"service/{service}", f":{port}") as command,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as forward,
        ):
            try:
                line = forward.stdout.readline() if forward.stdout else ""
                # Forwarding from 127.0.0.1:40001 -> 9000
                found = re.search(r"127\.0\.0\.1:([0-9]+)", line)
                if not found:
                    raise ServingError(f"kubectl port-forward failed: {line.strip()}")
                url = f"http://127.0.0.1:{found[1]}/{path}"
                answer = httpx.post(url, json=body, timeout=_KUBECTL_SECONDS)
            except httpx.HTTPError as error:
                raise ServingError(f"{service} does not answer: {error}") from error
            finally:
                forward.terminate()
        if not answer.is_success:
            raise ServingError(f"{service} answers {answer.status_code}: {answer.text[:500]}")
        result: dict[str, Any] = answer.json()
        return result

    @contextmanager
    def _command(self, *words: str) -> Iterator[list[str]]:
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder, "kubeconfig")
            config.touch(mode=0o600)
            config.write_text(self._kubeconfig)
            program = str(layout.bin_dir() / "kubectl")
            yield [program, f"--kubeconfig={config}", f"--namespace={self._namespace}", *words]

    def _run(self, *words: str) -> str:
        with self._command(*words) as command:
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=_KUBECTL_SECONDS, check=False
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise ServingError(f"kubectl {words[0]} failed: {error}") from error
        if done.returncode:
            raise ServingError(f"kubectl {words[0]} failed: {done.stderr.strip()}")
        return done.stdout


def wait(
    name: str,
    read: Callable[[], State],
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Return once a version serves as it was last applied.

    Args:
        name: what is waited for.
        read: returns its state.
        pause: waits for some seconds.
        clock: seconds since any moment.

    Raises:
        ServingError: it does not within five minutes, or fails for 90 seconds with the same reason.
    """
    end, failing_since, reason = clock() + _WAIT_SECONDS, clock(), ""
    while clock() < end:
        state = read()
        if state.ready:
            return
        if not state.failed or state.detail != reason:
            failing_since, reason = clock(), state.detail if state.failed else ""
        if reason and (state.final or clock() - failing_since > _PATIENCE_SECONDS):
            raise ServingError(f"{name} does not serve: {reason}")
        pause(1)
    raise ServingError(
        f"{name} does not serve after {_WAIT_SECONDS} s: "
        f"{state.detail or 'no controller has seen it'}"
    )


def judge(answer: Answer, late: list[bool], version: str) -> float:
    """Return the ROC AUC of an answer to a labelled sample.

    Raises:
        ServingError: another version answered, a probability is none, or the answers are no
            better than chance.
    """
    if answer.version != version:
        raise ServingError(f"version {answer.version} answered instead of {version}")
    found = answer.probabilities
    if len(found) != len(late) or not all(0 <= p <= 1 for p in found):
        raise ServingError(f"the answer to {len(late)} flights is {str(found)[:200]}")
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - seconds

    score = float(roc_auc_score(late, found))
    if score < _LEAST_AUC:
        raise ServingError(
            f"version {version} answers {len(late)} labelled flights with a ROC AUC of "
            f"{score:.3f}, less than {_LEAST_AUC}"
        )
    return round(score, 4)


class ServedVersionProvider(ResourceProvider):
    """Waits for a version and tests it; makes and removes nothing."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait and test.

        Raises:
            ServingError: the version does not serve.
        """
        return CreateResult(f"{props['namespace']}/{props['deployment']}", self._tested(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Test again what changed; other credentials of the cluster change nothing."""
        keys = (*_TESTED, "kubeconfig")
        return DiffResult(changes=any(olds.get(key) != news.get(key) for key in keys))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Test again, unless only the cluster's credentials are others."""
        if all(olds.get(key) == news.get(key) for key in _TESTED):
            return UpdateResult({**news, "roc_auc": olds["roc_auc"]})
        return UpdateResult(self._tested(news))

    @staticmethod
    def _tested(props: dict[str, Any]) -> dict[str, Any]:
        from mlops_workloads import labelled_sample  # noqa: PLC0415

        engine, name = ENGINES[props["engine"]], props["deployment"]
        kubectl = Kubectl(props["kubeconfig"], props["namespace"])
        wait(name, lambda: engine.state(name, kubectl.get))
        sample = labelled_sample.read(layout.dataset_dir(), month=_MONTH, flights=_FLIGHTS)
        path, body = engine.request(sample.rows)
        answer = kubectl.post(engine.service(name), engine.SERVICE_PORT, path, body)
        return {**props, "roc_auc": judge(engine.answer(answer), sample.late, props["version"])}


class ServedVersion(Resource, module="mlops", name="ServedVersion"):
    """A version that answers.

    Attributes:
        deployment: name of its manifest, known once it has passed.
        version: the registered version.
        roc_auc: of its answers to a labelled sample.
    """

    deployment: pulumi.Output[str]
    version: pulumi.Output[str]
    roc_auc: pulumi.Output[float]

    def __init__(
        self,
        name: str,
        *,
        engine: str,
        kubeconfig: pulumi.Input[str],
        namespace: pulumi.Input[str],
        deployment: pulumi.Input[str],
        version: pulumi.Input[str],
        manifest: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            ServedVersionProvider(),
            name,
            {
                "engine": engine,
                "kubeconfig": kubeconfig,
                "namespace": namespace,
                "deployment": deployment,
                "version": version,
                "manifest": manifest,
                "roc_auc": None,
            },
            opts,
        )
