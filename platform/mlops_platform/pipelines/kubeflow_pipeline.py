"""Compiled pipelines, schedules and runs of Kubeflow Pipelines as Pulumi resources."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pulumi
from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from mlops_infra.discreet_provider import DiscreetProvider
from mlops_platform.pipelines.pipelines_api import PipelinesApi


def content_key(content: str) -> str:
    """Return 8 hexadecimal digits that stand for a compiled pipeline."""
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def _changed(olds: Mapping[str, Any], news: Mapping[str, Any], *names: str) -> list[str]:
    return [name for name in names if olds.get(name) != news.get(name)]


class PipelineVersionProvider(DiscreetProvider):
    """Uploads; another content becomes another version, and earlier ones stay for their runs."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create the pipeline if need be, and upload."""
        api = PipelinesApi(props["api_url"])
        pipeline = api.pipeline_named(props["pipeline"])
        if pipeline is None:
            pipeline = api.create_pipeline(props["pipeline"], props["description"])
        return CreateResult(pipeline, {**props, **self._uploaded(api, pipeline, props)})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Upload for another content; replace for another pipeline."""
        replaces = _changed(olds, news, "pipeline")
        moved = _changed(olds, news, "content", "api_url")
        return DiffResult(changes=bool(replaces or moved), replaces=replaces)

    def update(self, id_: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Upload the new content."""
        return UpdateResult({**news, **self._uploaded(PipelinesApi(news["api_url"]), id_, news)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the version; one that was deleted drops it from the state."""
        found = PipelinesApi(props["api_url"]).version_exists(id_, props["version_id"])
        return ReadResult(id_, props) if found else ReadResult("", {})

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Delete the pipeline with all its versions."""
        PipelinesApi(props["api_url"]).delete_pipeline(id_)

    @staticmethod
    def _uploaded(api: PipelinesApi, pipeline: str, props: dict[str, Any]) -> dict[str, str]:
        name = f"{props['pipeline']}-{content_key(props['content'])}"
        # There already when an earlier upload was interrupted before Pulumi learned of it.
        version = api.version_named(pipeline, name)
        if version is None:
            version = api.upload_version(pipeline, name, props["content"])
        return {"version": name, "version_id": version, "pipeline_id": pipeline}


class PipelineVersion(Resource, module="mlops", name="PipelineVersion"):
    """A compiled pipeline in Kubeflow; its name ends with the key of its content.

    Attributes:
        api_url: address of the API.
        pipeline_id: id of the pipeline.
        version: name of the version.
        version_id: its id.
    """

    api_url: pulumi.Output[str]
    pipeline_id: pulumi.Output[str]
    version: pulumi.Output[str]
    version_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        api_url: pulumi.Input[str],
        pipeline: str,
        description: str,
        content: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            PipelineVersionProvider(),
            name,
            {
                "api_url": api_url,
                "pipeline": pipeline,
                "description": description,
                "content": content,
                **dict.fromkeys(("pipeline_id", "version", "version_id")),
            },
            opts,
        )


class RecurringRunProvider(DiscreetProvider):
    """Kubeflow can pause and resume a schedule; anything else makes another one."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create the schedule."""
        api = PipelinesApi(props["api_url"])
        created = api.create_recurring_run(
            name=props["display_name"],
            experiment=api.experiment(props["experiment"]),
            pipeline=props["pipeline_id"],
            version=props["version_id"],
            parameters=props["parameters"],
            cron=props["cron"],
            enabled=props["enabled"],
        )
        return CreateResult(created, {**props, "recurring_run_id": created})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for anything but the switch and the address."""
        replaces = _changed(
            olds, news, "display_name", "experiment", "version_id", "parameters", "cron"
        )
        moved = _changed(olds, news, "enabled", "api_url")
        return DiffResult(
            changes=bool(replaces or moved), replaces=replaces, delete_before_replace=True
        )

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Pause or resume."""
        if olds["enabled"] != news["enabled"]:
            PipelinesApi(news["api_url"]).set_recurring_run(id_, enabled=news["enabled"])
        return UpdateResult({**news, "recurring_run_id": id_})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the schedule with its switch as it stands; a deleted one leaves the state."""
        found = PipelinesApi(props["api_url"]).recurring_run(id_)
        if found is None:
            return ReadResult("", {})
        return ReadResult(id_, {**props, "enabled": found.get("status") == "ENABLED"})

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Delete the schedule; runs that it started stay."""
        PipelinesApi(props["api_url"]).delete_recurring_run(id_)


class RecurringRun(Resource, module="mlops", name="RecurringRun"):
    """A schedule of a pipeline version.

    Attributes:
        recurring_run_id: its id.
    """

    recurring_run_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        version: PipelineVersion,
        experiment: str,
        parameters: Mapping[str, Any],
        cron: str,
        enabled: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            RecurringRunProvider(),
            name,
            {
                "api_url": version.api_url,
                "display_name": name,
                "experiment": experiment,
                "pipeline_id": version.pipeline_id,
                "version_id": version.version_id,
                "parameters": dict(parameters),
                "cron": cron,
                "enabled": enabled,
                "recurring_run_id": None,
            },
            opts,
        )


class PipelineRunProvider(DiscreetProvider):
    """Starts a run and waits for it; the same version and parameters run once."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Run to the end, with each step in Pulumi's output.

        A run that an interrupted update left behind is followed instead of starting another.

        Raises:
            RunFailedError: the run failed; the message shows the step's last lines.
        """
        # Only this process follows runs; a preview that imports the module does not.
        from mlops_platform.pipelines import step_logs  # noqa: PLC0415
        from mlops_platform.pipelines.pipeline_runs import run_to_end  # noqa: PLC0415

        started = datetime.now(UTC)
        run = run_to_end(
            PipelinesApi(props["api_url"]),
            name=f"{props['display_name']} {started:%Y-%m-%d %H:%M:%S}",
            experiment=props["experiment"],
            pipeline=props["pipeline_id"],
            version=props["version_id"],
            parameters=props["parameters"],
            logs=step_logs.reader(props["kubeconfig"]),
            say=lambda line: print(line, flush=True),
            resume=True,
        )
        seconds = (datetime.now(UTC) - started).total_seconds()
        return CreateResult(run, {**props, "run_id": run, "seconds": round(seconds)})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Run again for another version or other parameters."""
        replaces = _changed(olds, news, "version_id", "parameters", "experiment")
        moved = _changed(olds, news, "api_url", "kubeconfig")
        return DiffResult(changes=bool(replaces or moved), replaces=replaces)

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Note a moved address or other credentials."""
        return UpdateResult({**news, "run_id": id_, "seconds": olds["seconds"]})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the run; one that was deleted drops it from the state."""
        found = PipelinesApi(props["api_url"]).run(id_)
        return ReadResult(id_, props) if found else ReadResult("", {})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Keep the run: it is the record of what was trained, and goes with its database."""


class PipelineRun(Resource, module="mlops", name="PipelineRun"):
    """One finished run of a pipeline version.

    Attributes:
        run_id: its id.
        seconds: how long it took.
    """

    run_id: pulumi.Output[str]
    seconds: pulumi.Output[int]

    def __init__(
        self,
        name: str,
        *,
        version: PipelineVersion,
        kubeconfig: pulumi.Input[str],
        experiment: str,
        parameters: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            PipelineRunProvider(),
            name,
            {
                "api_url": version.api_url,
                "kubeconfig": kubeconfig,
                "display_name": name,
                "experiment": experiment,
                "pipeline_id": version.pipeline_id,
                "version_id": version.version_id,
                "parameters": dict(parameters),
                "run_id": None,
                "seconds": None,
            },
            opts,
        )
