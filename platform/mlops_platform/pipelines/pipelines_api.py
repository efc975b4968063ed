"""Kubeflow Pipelines' REST API, as far as the project's resources and commands use it.

Paths and fields are those of https://www.kubeflow.org/docs/components/pipelines/reference/api/
(v2beta1). Errors carry the server's own message.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from mlops_infra import direct

_V2 = "/apis/v2beta1"
_TIMEOUT_SECONDS = 30
_PAGE = 100
_UNFINISHED = frozenset({"PENDING", "RUNNING", "RUNTIME_STATE_UNSPECIFIED"})


class PipelinesApiError(Exception):
    """The API refused a request or did not answer; the message says which and why."""


class PipelinesApi:
    """A connection to the API.

    Args:
        url: its address, for example http://10.210.255.254:30888.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # A server that was just restarted refuses connections for a moment.
        self._client = direct.client(retries=3, base_url=url, timeout=_TIMEOUT_SECONDS)

    def pipeline_named(self, name: str) -> str | None:
        """Return the id of the pipeline with that name, or None."""
        for pipeline in self._pages("pipelines", "pipelines"):
            if pipeline["display_name"] == name:
                return str(pipeline["pipeline_id"])
        return None

    def create_pipeline(self, name: str, description: str) -> str:
        """Create a pipeline without a version; return its id."""
        body = {"display_name": name, "name": name, "description": description}
        return str(self._call("POST", "pipelines", json=body)["pipeline_id"])

    def delete_pipeline(self, pipeline: str) -> None:
        """Delete a pipeline with all its versions; runs that were made of it stay."""
        self._delete(f"pipelines/{pipeline}?cascade=true")

    def version_named(self, pipeline: str, name: str) -> str | None:
        """Return the id of the pipeline's version with that name, or None."""
        for version in self._pages(f"pipelines/{pipeline}/versions", "pipeline_versions"):
            if version["display_name"] == name:
                return str(version["pipeline_version_id"])
        return None

    def upload_version(self, pipeline: str, name: str, content: str) -> str:
        """Upload compiled YAML as a new version; return its id."""
        version = self._call(
            "POST",
            "pipelines/upload_version",
            params={"pipelineid": pipeline, "name": name},
            files={"uploadfile": ("pipeline.yaml", content.encode())},
        )
        return str(version["pipeline_version_id"])

    def step_names(self, pipeline: str, version: str) -> frozenset[str]:
        """Return the names of a version's tasks that run a component's own code."""
        found = self._call("GET", f"pipelines/{pipeline}/versions/{version}")["pipeline_spec"]
        # With options of Kubernetes, the compiled file has two documents.
        spec = found.get("pipeline_spec", found)
        components = spec.get("components", {})
        return frozenset(
            name
            for graph in (spec["root"], *components.values())
            for name, task in graph.get("dag", {}).get("tasks", {}).items()
            if "executorLabel" in components[task["componentRef"]["name"]]
        )

    def version_exists(self, pipeline: str, version: str) -> bool:
        """Return whether the pipeline still has this version."""
        return self._get(f"pipelines/{pipeline}/versions/{version}") is not None

    def experiment(self, name: str) -> str:
        """Return the id of the experiment with that name, which is created if need be."""
        for experiment in self._pages("experiments", "experiments"):
            if experiment["display_name"] == name:
                return str(experiment["experiment_id"])
        return str(self._call("POST", "experiments", json={"display_name": name})["experiment_id"])

    def create_run(
        self,
        *,
        name: str,
        experiment: str,
        pipeline: str,
        version: str,
        parameters: Mapping[str, Any],
    ) -> str:
        """Start a run; return its id."""
        body = _run_body(name, experiment, pipeline, version, parameters)
        return str(self._call("POST", "runs", json=body)["run_id"])

    def run(self, run: str) -> dict[str, Any] | None:
        """Return a run with its tasks, or None when there is none."""
        return self._get(f"runs/{run}")

    def unfinished_run(self, version: str, parameters: Mapping[str, Any]) -> str | None:
        """Return the id of the newest run of a version with these parameters that goes on, or None.

        Only the latest runs are looked at: an older one that still goes on is not worth following.
        """
        equal = self._equal_runs(version, parameters)
        going_on = (run for run in equal if run.get("state", "PENDING") in _UNFINISHED)
        return next((str(run["run_id"]) for run in going_on), None)

    def equal_runs(self, version: str, parameters: Mapping[str, Any]) -> list[str]:
        """Return the ids of a version's latest runs with these parameters, the newest first."""
        return [str(run["run_id"]) for run in self._equal_runs(version, parameters)]

    def _equal_runs(self, version: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        query = {"page_size": _PAGE, "sort_by": "created_at desc"}
        return [
            run
            for run in self._call("GET", "runs", params=query).get("runs", [])
            if (run.get("pipeline_version_reference") or {}).get("pipeline_version_id") == version
            and (run.get("runtime_config") or {}).get("parameters") == dict(parameters)
        ]

    def runs(self) -> Iterator[dict[str, Any]]:
        """Return all runs."""
        yield from self._pages("runs", "runs")

    def run_count(self) -> int:
        """Return how many runs there are."""
        return int(self._call("GET", "runs", params={"page_size": 1}).get("total_size", 0))

    def create_recurring_run(
        self,
        *,
        name: str,
        experiment: str,
        pipeline: str,
        version: str,
        parameters: Mapping[str, Any],
        cron: str,
        enabled: bool,
    ) -> str:
        """Create a schedule; return its id. A time that was missed is not made up for."""
        body = {
            **_run_body(name, experiment, pipeline, version, parameters),
            "trigger": {"cron_schedule": {"cron": cron}},
            "mode": "ENABLE" if enabled else "DISABLE",
            "max_concurrency": "1",
            "no_catchup": True,
        }
        return str(self._call("POST", "recurringruns", json=body)["recurring_run_id"])

    def recurring_run(self, recurring_run: str) -> dict[str, Any] | None:
        """Return a schedule, or None when there is none."""
        return self._get(f"recurringruns/{recurring_run}")

    def recurring_runs(self) -> Iterator[dict[str, Any]]:
        """Return all schedules."""
        yield from self._pages("recurringruns", "recurringRuns")

    def copy_recurring_run(self, found: Mapping[str, Any]) -> str:
        """Create a schedule like another one; return its id. Missed times are not made up for."""
        same = (
            *("display_name", "description", "pipeline_version_reference", "pipeline_spec"),
            *("runtime_config", "service_account", "max_concurrency", "trigger", "experiment_id"),
        )
        body = {
            **{key: found[key] for key in same if found.get(key)},
            "mode": "ENABLE" if found.get("status") == "ENABLED" else "DISABLE",
            "no_catchup": True,
        }
        return str(self._call("POST", "recurringruns", json=body)["recurring_run_id"])

    def set_recurring_run(self, recurring_run: str, *, enabled: bool) -> None:
        """Let a schedule start runs, or pause it."""
        self._call("POST", f"recurringruns/{recurring_run}:{'enable' if enabled else 'disable'}")

    def delete_recurring_run(self, recurring_run: str) -> None:
        """Delete a schedule; one that is gone is no error. Its runs stay."""
        self._delete(f"recurringruns/{recurring_run}")

    def _pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._call("GET", path, params={"page_size": _PAGE, "page_token": token})
            yield from page.get(key, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def _get(self, path: str) -> dict[str, Any] | None:
        """Return an object, or None when the API says twice that there is none.

        A database that dies while it answers looks to upstream's server like one without the
        object. Tables are read in between, so that a database that is away is an error.
        """
        try:
            return self._call("GET", path)
        except _NotFoundError:
            self.run_count()
        try:
            return self._call("GET", path)
        except _NotFoundError:
            return None

    def _delete(self, path: str) -> None:
        try:
            self._call("DELETE", path)
        except _NotFoundError as error:
            if self._get(path.partition("?")[0]) is None:
                return
            raise PipelinesApiError(f"Kubeflow Pipelines did not delete {path}: {error}") from error
        except _UnreachableError:
            # Set where the cluster is gone for good, and with it Kubeflow's database.
            if os.environ.get("PULUMI_K8S_DELETE_UNREACHABLE", "").lower() not in ("true", "1"):
                raise

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            response = self._client.request(method, f"{_V2}/{path}", **options)
        except httpx.HTTPError as error:
            raise _UnreachableError(
                f"Kubeflow Pipelines does not answer at {self.url}: {error}; look at the pods of "
                "namespace kubeflow"
            ) from error
        answer = _object(response)
        if answer is None:
            content = response.headers.get("Content-Type", "no content type")
            raise _UnreachableError(
                f"Kubeflow Pipelines does not answer at {self.url}, but something else, with "
                f"{response.status_code} and {content}; check the address and proxies on the way"
            )
        if response.is_success:
            return answer
        message = str(answer.get("error_message") or answer.get("message") or answer)[:500]
        if _says_not_found(answer):
            raise _NotFoundError(message)
        raise PipelinesApiError(f"Kubeflow Pipelines refused {method} {path}: {message}")


class _UnreachableError(PipelinesApiError):
    """The API does not answer."""


class _NotFoundError(PipelinesApiError):
    """The API does not know the object."""


def _run_body(
    name: str, experiment: str, pipeline: str, version: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a run and a schedule have in common."""
    return {
        "display_name": name,
        "experiment_id": experiment,
        "pipeline_version_reference": {
            "pipeline_id": pipeline,
            "pipeline_version_id": version,
        },
        "runtime_config": {"parameters": dict(parameters)},
    }


def _object(response: httpx.Response) -> dict[str, Any] | None:
    """Return an answer as the API gives it, None for what something else says."""
    if not response.content and response.is_success:
        return {}
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _says_not_found(answer: Mapping[str, Any]) -> bool:
    """Tell whether the API itself says that an object does not exist.

    A proxy on the way, or the API's own gateway for a path that it does not know, also answers 404.
    """
    message = str(answer.get("message"))
    return isinstance(answer.get("code"), int) and "ResourceNotFoundError" in message
