"""Kubeflow's databases, with ML Metadata's: dumped in MariaDB's Pod, and imported there.

The dump is one transaction over both databases, so it is of one moment; its servers go on.
"""

import contextlib
import gzip
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from mlops_stack.backup import archive
from mlops_stack.backup.archive import Dump
from mlops_stack.backup.errors import KeepError
from mlops_stack.backup.pods import Pods

# As platform/mlops_platform/pipelines/kubeflow_manifests.py and mariadb.py lay it out.
_NAMESPACE = "kubeflow"
_SELECTOR = "app.kubernetes.io/name=mariadb"
_DATABASES = ("mlpipeline", "metadb")
_WHAT = "Kubeflow's database"
_READY_SECONDS = 300
# What reads and writes it, with the label of its Pods.
_SERVERS: Final = {
    "ml-pipeline": "app=ml-pipeline",
    "ml-pipeline-persistenceagent": "app=ml-pipeline-persistenceagent",
    "ml-pipeline-scheduledworkflow": "app=ml-pipeline-scheduledworkflow",
    "metadata-grpc-deployment": "component=metadata-grpc-server",
}
_COUNTED: Final = {
    "runs": "mlpipeline.run_details",
    "experiments": "mlpipeline.experiments",
    "pipelines": "mlpipeline.pipelines",
    "pipeline_versions": "mlpipeline.pipeline_versions",
    "recurring_runs": "mlpipeline.jobs",
    "executions": "metadb.Execution",
    "artifacts": "metadb.Artifact",
}
# The password is the Pod's own variable: on a command line the whole node would read it.
_CLIENT = 'MYSQL_PWD="$MYSQL_PASSWORD" exec {} --host=127.0.0.1 --user="$MYSQL_USER" {}'
_DUMP = _CLIENT.format(
    "mariadb-dump",
    "--single-transaction --quick --hex-blob --no-create-db --skip-dump-date --skip-lock-tables "
    f"--default-character-set=utf8mb4 --databases {' '.join(_DATABASES)}",
)
_SQL = _CLIENT.format("mariadb", "--default-character-set=utf8mb4 --batch --skip-column-names")
_END = b"-- Dump completed"
# Kubeflow's agent notes in it every half minute that each schedule is still there.
_SCHEDULES = b"INSERT INTO `jobs`"


class KubeflowDatabase:
    """The databases `mlpipeline` and `metadb` of a stack."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods

    def size(self) -> int:
        """Return about how many bytes the databases have.

        Raises:
            KeepError: the Pod cannot be reached, or its image is of an earlier version.
        """
        try:
            self._shell("command -v mariadb-dump")
        except KeepError as error:
            raise KeepError(
                f"{_WHAT} cannot be dumped: its Pod has no mariadb-dump, or does not answer; "
                "`make up` brings both"
            ) from error
        names = ", ".join(f"'{name}'" for name in _DATABASES)
        found = self._ask(
            "SELECT COALESCE(SUM(data_length), 0) FROM information_schema.tables "  # noqa: S608
            f"WHERE table_schema IN ({names})"
        )
        return int(found)

    def counts(self) -> dict[str, int]:
        """Return how much of what Kubeflow has.

        Raises:
            KeepError: the Pod cannot be reached.
        """
        tables = _COUNTED.values()
        numbers = ", ".join(f"(SELECT COUNT(*) FROM {table})" for table in tables)  # noqa: S608
        found = self._ask(f"SELECT {numbers}").split()
        return dict(zip(_COUNTED, map(int, found), strict=True))

    def dump(self, file: Path) -> Dump:
        """Write a dump, compressed, and describe it.

        Raises:
            KeepError: the Pod cannot be reached, or the dump broke off.
        """
        file.touch(mode=0o600)
        with gzip.open(file, "wb", compresslevel=1) as target:
            digest = self._dumped(target)
        # Of the same moment or before: what comes between is seen when it is compared.
        return Dump(content=archive.content_of(file), sha256=digest, counts=self.counts())

    def digest(self) -> str:
        """Return the checksum that a dump would have now; schedules are not part of it.

        Raises:
            KeepError: the Pod cannot be reached, or the dump broke off.
        """
        return self._dumped(None)

    def restore(self, file: Path, dump: Dump) -> None:
        """Import a dump while its servers are stopped.

        Raises:
            KeepError: the Pod cannot be reached, or the database does not hold what was imported.
        """
        self.size()  # it answers
        with self._servers_stopped():
            # Those of an import that was interrupted would start runs that the database lacks.
            self._pods.run(
                *("Kubeflow", "delete", "scheduledworkflows.kubeflow.org", "--all"),
                f"--namespace={_NAMESPACE}",
            )
            self._import(file)
            if (found := self.counts()) != dump.counts:
                raise KeepError(
                    f"{_WHAT} does not hold what was imported: {json.dumps(found)}, not "
                    f"{json.dumps(dump.counts)}; run the command again"
                )

    def _dumped(self, target: IO[bytes] | gzip.GzipFile | None) -> str:
        digest, line, of_schedules = hashlib.sha256(), b"", False
        with self._pods.output(_WHAT, *self._exec(_DUMP)) as source:
            # Rows are lines: what ends a line within a value is escaped.
            for line in source:
                of_schedules = of_schedules or line.startswith(_SCHEDULES)
                if not of_schedules:
                    digest.update(line)
                of_schedules = of_schedules and not line.endswith(b";\n")
                if target is not None:
                    target.write(line)
        if not line.startswith(_END):
            raise KeepError(f"the dump of {_WHAT} broke off; run the command again")
        return digest.hexdigest()

    def _import(self, file: Path) -> None:
        with gzip.open(file, "rb") as source:
            self._pods.feed(_WHAT, source, *self._exec(_SQL, "--stdin"))

    @contextlib.contextmanager
    def _servers_stopped(self) -> Iterator[None]:
        self._scale(0)
        try:
            for label in _SERVERS.values():
                self._pods.run(
                    "Kubeflow",
                    *("delete", "pod", f"--namespace={_NAMESPACE}", f"--selector={label}"),
                    *("--grace-period=1", "--ignore-not-found", "--wait=true"),
                )
            yield
        finally:
            self._scale(1)
        for name in _SERVERS:
            self._pods.run(
                *("Kubeflow", "rollout", "status", f"--namespace={_NAMESPACE}"),
                *(f"deployment/{name}", f"--timeout={_READY_SECONDS}s"),
            )

    def _scale(self, replicas: int) -> None:
        names = [f"deployment/{name}" for name in _SERVERS]
        words = ("scale", f"--namespace={_NAMESPACE}", *names, f"--replicas={replicas}")
        self._pods.run("Kubeflow", *words)

    def _ask(self, statement: str) -> str:
        return self._shell(f'{_SQL} --execute="{statement}"')

    def _shell(self, text: str) -> str:
        return self._pods.run(_WHAT, *self._exec(text), stdin=subprocess.DEVNULL).decode().strip()

    def _exec(self, text: str, *options: str) -> tuple[str, ...]:
        pod = self._pods.named(_NAMESPACE, _SELECTOR, _WHAT)
        return (
            *("exec", f"--namespace={_NAMESPACE}", *options, pod, "--container=mariadb"),
            *("--", "sh", "-c", text),
        )
