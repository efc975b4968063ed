"""`python -m flight_pipeline.local --data FOLDER`: the pipeline on a laptop, without Kubernetes.

The same components run one after the other as processes of this Python. `kfp.local` has neither
exit handlers nor conditions, so this module decides on Deploy, and no outcome is recorded.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from kfp import dsl, local

from flight_pipeline.components.champion import champion
from flight_pipeline.components.deploy import deploy
from flight_pipeline.components.evaluate import evaluate
from flight_pipeline.components.preprocess import preprocess
from flight_pipeline.components.train import train
from flight_pipeline.parameters import DEFAULTS, ParametersError, validate

# Nothing serves here, so a better model has no requests to share; and nothing runs jobs.
_CLUSTER_ONLY: Final = ("canary_percent", "trainer", "network")


class LocalRunError(Exception):
    """The pipeline did not run to its end; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a run ended.

    Attributes:
        better: whether the new model was promoted.
        roc_auc: the new model's.
        champion_roc_auc: of the champion that it was compared with; 0 when there was none.
        version: the registered version; empty when it was not promoted.
        report: the evaluation's web page.
    """

    better: bool
    roc_auc: float
    champion_roc_auc: float
    version: str
    report: Path


class _Outputs(NamedTuple):
    model: dsl.Model
    report: dsl.HTML
    better: bool
    roc_auc: float
    champion_roc_auc: float


@dsl.pipeline(name="flight-delay-core")
def core(
    data: str,
    training_months: str,
    evaluation_month: int,
    learning_rate: float,
    iterations: int,
    leaves: int,
    candidates: list,
    promotion_margin: float,
    model_name: str,
) -> _Outputs:
    """Declare Preprocess → Train → Evaluate, with the parameters of the whole pipeline."""
    current = champion(model_name=model_name)
    prepared = preprocess(
        training_months=training_months, evaluation_month=evaluation_month, data=data
    )
    trained = train(
        training_set=prepared.outputs["training_set"],
        learning_rate=learning_rate,
        iterations=iterations,
        leaves=leaves,
        candidates=candidates,
        experiment=model_name,
        trainer="sklearn",
        network={},
        data=data,
    )
    verdict = evaluate(
        evaluation_set=prepared.outputs["evaluation_set"],
        model=trained.outputs["model"],
        champion_version=current.outputs["version"],
        champion_model=current.outputs["model"],
        promotion_margin=promotion_margin,
    )
    return _Outputs(
        model=trained.outputs["model"],
        report=verdict.outputs["report"],
        better=verdict.outputs["better"],
        roc_auc=verdict.outputs["roc_auc"],
        champion_roc_auc=verdict.outputs["champion_roc_auc"],
    )


@dsl.pipeline(name="flight-delay-promotion")
def promotion(uri: str, mlflow_run_id: str, model_name: str) -> str:
    """Declare Deploy of a model that `core` made."""
    model = dsl.importer(
        artifact_uri=uri, artifact_class=dsl.Model, metadata={"mlflow_run_id": mlflow_run_id}
    )
    version: str = deploy(model=model.output, model_name=model_name).output
    return version


def run(parameters: Mapping[str, Any], *, output: Path) -> Result:
    """Run the pipeline in this process's environment, which names MLflow and S3's keys.

    Args:
        parameters: what `validate` knows, with `data`.
        output: folder for the artifacts, made if it is not there.

    Raises:
        ParametersError: a parameter is unknown, missing or out of bounds.
        LocalRunError: a step failed.
    """
    given = validate(parameters)
    if not given.get("data"):
        raise ParametersError("data is not given; write a folder or s3://bucket/prefix")
    if given["trainer"] != "sklearn":
        raise ParametersError(
            f"trainer {given['trainer']} needs a cluster with the training operator, as `make run` "
            "has; use trainer=sklearn here"
        )
    if not given["data"].startswith("s3://"):
        folder = Path(given["data"]).resolve()
        if not folder.is_dir():
            raise ParametersError(f"data: there is no folder {folder}; `make toolchain` makes one")
        given["data"] = str(folder)
    output.mkdir(parents=True, exist_ok=True)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(output.resolve()))
    with _temporary_files(), _mlflow(output.resolve()):
        try:
            found = core(**{k: v for k, v in given.items() if k not in _CLUSTER_ONLY}).outputs
            version = ""
            if found["better"]:
                model = found["model"]
                version = promotion(
                    uri=model.uri,
                    mlflow_run_id=model.metadata["mlflow_run_id"],
                    model_name=given["model_name"],
                ).output
        except RuntimeError as error:
            raise LocalRunError(f"{error} Its output above says why.") from error
    return Result(
        better=found["better"],
        roc_auc=found["roc_auc"],
        champion_roc_auc=found["champion_roc_auc"],
        version=version,
        report=Path(found["report"].path),
    )


@contextlib.contextmanager
def _temporary_files() -> Iterator[None]:
    """Remove in the end what the steps leave: each writes its program to a new folder."""
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="flight-pipeline-") as folder:
        os.environ["TMPDIR"] = folder
        try:
            yield
        finally:
            del os.environ["TMPDIR"]
            if before is not None:
                os.environ["TMPDIR"] = before


@contextlib.contextmanager
def _mlflow(output: Path) -> Iterator[None]:
    """Let the steps keep their runs beside the artifacts unless the user has a server."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        yield
        return
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{output}/mlflow.db"
    # Without a server, MLflow writes models below the current folder.
    try:
        with contextlib.chdir(output):
            yield
    finally:
        del os.environ["MLFLOW_TRACKING_URI"]


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, as iterations=50")
    if isinstance(DEFAULTS.get(name), str):
        return name, value
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with the options of a command line; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="flight_pipeline.local", description=__doc__)
    parser.add_argument("--data", required=True, help="folder or s3://bucket/prefix of the flights")
    parser.add_argument("--months", help="months to train on, as 3 or 1-3")
    parser.add_argument(
        "--set",
        dest="changes",
        type=_assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"another parameter: {', '.join(DEFAULTS)}; lists as JSON",
    )
    parser.add_argument(
        "--output", type=Path, default=Path(".state/local-runs"), help="folder for the artifacts"
    )
    options = parser.parse_args(arguments)
    given = {**dict(options.changes), "data": options.data}
    if options.months:
        given["training_months"] = options.months
    try:
        result = run(given, output=options.output)
    except (ParametersError, LocalRunError) as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    champion = f"{result.champion_roc_auc:.4f}" if result.champion_roc_auc else "none yet"
    verdict = f"promoted as version {result.version}" if result.better else "the champion stays"
    print(f"✓ ROC AUC {result.roc_auc:.4f}, champion {champion}: {verdict}")
    print(f"  report: {result.report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
