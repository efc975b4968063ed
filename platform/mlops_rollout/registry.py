"""MLflow's registry: which version serves, which one is tried, and which one served before.

Aliases of the registered model say it: `champion`, `challenger` and `previous`. The share of the
requests that a challenger gets is a tag of its version.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import urllib3

from mlops_rollout.engine import Version

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"
_PERCENT: Final = "canary_percent"
_SECONDS: Final = 30
_SHOWN: Final = 20


class RegistryError(Exception):
    """MLflow's registry does not answer, or refuses; the message says what."""


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    """A registered version.

    Attributes:
        version: its number, and where its files are.
        run_id: MLflow's run that trained it; empty for none.
        canary_percent: share of the requests while it is tried; 0 for none.
        problem: why its tag says no share, if it has one; empty otherwise.
    """

    version: Version
    run_id: str
    canary_percent: int
    problem: str = ""


class Registry:
    """A registered model in MLflow.

    Args:
        tracking_uri: address of MLflow's server.
        model: the model's name.
    """

    def __init__(self, tracking_uri: str, model: str) -> None:
        self._url, self._model = f"{tracking_uri}/api/2.0/mlflow", model

    def by_alias(self, alias: str) -> RegisteredVersion | None:
        """Return the version that has an alias, or None.

        Raises:
            RegistryError: MLflow does not answer.
        """
        found = self._get("registered-models/alias", name=self._model, alias=alias)
        return self._registered(found["model_version"]) if found else None

    def by_number(self, number: str) -> RegisteredVersion | None:
        """Return a version, or None.

        Raises:
            RegistryError: MLflow does not answer.
        """
        found = self._get("model-versions/get", name=self._model, version=number)
        return self._registered(found["model_version"]) if found else None

    def numbers(self) -> list[str]:
        """Return the numbers of all versions, the newest first.

        Raises:
            RegistryError: MLflow does not answer.
        """
        found = self._get("model-versions/search", filter=f"name='{self._model}'") or {}
        numbers = [str(each["version"]) for each in found.get("model_versions", [])]
        return sorted(numbers, key=int, reverse=True)

    def metrics(self, registered: RegisteredVersion) -> dict[str, float]:
        """Return the metrics of the run that trained a version, by name.

        Raises:
            RegistryError: MLflow does not answer.
        """
        return {each["key"]: each["value"] for each in self._of_run(registered, "metrics")}

    def parameters(self, registered: RegisteredVersion) -> dict[str, str]:
        """Return the parameters of the run that trained a version, by name.

        Raises:
            RegistryError: MLflow does not answer.
        """
        return {each["key"]: each["value"] for each in self._of_run(registered, "params")}

    def _of_run(self, registered: RegisteredVersion, kind: str) -> list[dict[str, Any]]:
        # A version of other origin has no run, or one that is gone.
        run = self._get("runs/get", run_id=registered.run_id) if registered.run_id else None
        return list(run["run"]["data"].get(kind, [])) if run else []

    def challenge(self, number: str, percent: int) -> None:
        """Note that a version is tried with a share of the requests.

        Raises:
            RegistryError: MLflow refuses.
        """
        version = {"name": self._model, "version": number}
        tag = {"key": _PERCENT, "value": str(percent)}
        self._send("POST", "model-versions/set-tag", {**version, **tag})
        self._set_alias(CHALLENGER, number)

    def end_challenge(self) -> None:
        """Note that nothing is tried.

        Raises:
            RegistryError: MLflow refuses.
        """
        if self.by_alias(CHALLENGER):
            body = {"name": self._model, "alias": CHALLENGER}
            self._send("DELETE", "registered-models/alias", body)

    def promote(self, number: str) -> None:
        """Note that a version serves, and which one did before.

        Raises:
            RegistryError: MLflow refuses.
        """
        before = self.by_alias(CHAMPION)
        if before and before.version.number != number:
            self._set_alias(PREVIOUS, before.version.number)
        self._set_alias(CHAMPION, number)

    def record(self, *, champion: str, challenger: str, percent: int) -> None:
        """Note which version serves and which one is tried; what is so already stays.

        Raises:
            RegistryError: MLflow refuses.
        """
        now = self.by_alias(CHAMPION)
        if now is None or now.version.number != champion:
            self.promote(champion)
        tried = self.by_alias(CHALLENGER)
        if not challenger:
            self.end_challenge()
        elif tried is None or (tried.version.number, tried.canary_percent) != (challenger, percent):
            self.challenge(challenger, percent)

    def _registered(self, body: dict[str, Any]) -> RegisteredVersion:
        number = str(body["version"])
        found = self._get("model-versions/get-download-uri", name=self._model, version=number)
        tags = {each["key"]: each["value"] for each in body.get("tags", [])}
        percent = tags.get(_PERCENT, "0")
        # Anybody who reaches MLflow may write the tag.
        known = re.fullmatch(r"[0-9]{1,2}", percent)
        shown = percent if len(percent) <= _SHOWN else f"{percent[:_SHOWN]}…"
        return RegisteredVersion(
            version=Version(number=number, uri=found["artifact_uri"] if found else ""),
            run_id=body.get("run_id", ""),
            canary_percent=int(percent) if known else 0,
            problem=""
            if known
            else f"version {number}'s tag {_PERCENT} is {shown!r}, no number from 1 to 99: it gets "
            f"no requests; `make canary VERSION={number} WEIGHT=10` sets it",
        )

    def _set_alias(self, alias: str, number: str) -> None:
        body = {"name": self._model, "alias": alias, "version": number}
        self._send("POST", "registered-models/alias", body)

    def _get(self, path: str, **query: str) -> dict[str, Any] | None:
        """Return MLflow's answer, or None for what it does not know."""
        return self._asked("GET", path, fields=query)

    def _send(self, method: str, path: str, body: dict[str, str]) -> None:
        if self._asked(method, path, json=body) is None:
            raise RegistryError(
                f"MLflow knows no version {body.get('version', '')} of {self._model}"
            )

    def _asked(self, method: str, path: str, **content: Any) -> dict[str, Any] | None:
        url = f"{self._url}/{path}"
        try:
            answer = urllib3.request(method, url, timeout=_SECONDS, retries=False, **content)
            body: dict[str, Any] = json.loads(answer.data or b"{}")
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise RegistryError(f"MLflow's registry does not answer: {error}") from error
        if answer.status >= 400:
            if _says_unknown(body):
                return None
            message = body.get("message", answer.status)
            raise RegistryError(f"MLflow's registry answers: {message}")
        return body


def _says_unknown(body: dict[str, Any]) -> bool:
    """Tell whether MLflow itself says that it does not know a model, a version or an alias."""
    code = body.get("error_code")
    # An alias that nobody has set is a wrong parameter to MLflow, as much else is.
    missing = code == "INVALID_PARAMETER_VALUE" and "not found" in str(body.get("message"))
    return missing or code == "RESOURCE_DOES_NOT_EXIST"
