"""The components as the laptop runs them: real processes, real artifacts, MLflow's own store."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flight_pipeline import local

_SECONDS = 300  # under 60 on an idle machine


def _run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MLFLOW_"))}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "flight_pipeline.local", *arguments],
        # Two busy cores: more threads than one only spin.
        env={**inherited, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )


@pytest.mark.timeout(2 * _SECONDS)
def test_a_model_is_deployed_and_a_worse_one_is_not(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "runs"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    options = ("--data", str(folder), "--months", "1", "--output", str(output))
    first = _run(*options, "--set", "iterations=40", TMPDIR=str(temporary))
    assert first.returncode == 0, first.stdout + first.stderr
    assert "champion none yet: promoted as version 1" in first.stdout
    last = first.stdout.splitlines()[-1]
    assert last.startswith("  report: ")
    report = last.removeprefix("  report: ")
    assert Path(report).read_text().count("<svg") == 3
    assert not list(temporary.iterdir())
    (executed,) = output.glob("flight-delay-core-*/train/executor_output.json")
    model = json.loads(executed.read_text())["artifacts"]["model"]["artifacts"][0]
    assert model["metadata"]["framework"] == "scikit-learn"
    assert model["metadata"]["iterations"] == 40
    assert len(model["metadata"]["mlflow_run_id"]) == 32
    (executed,) = output.glob("flight-delay-core-*/preprocess/executor_output.json")
    sets = json.loads(executed.read_text())["artifacts"]
    for name, months in (("training_set", "1"), ("evaluation_set", "2")):
        metadata = sets[name]["artifacts"][0]["metadata"]
        assert metadata["months"] == months
        assert metadata["rows"] > 1000

    second = _run(*options, "--set", "iterations=1", "--set", "learning_rate=0.001")
    assert second.returncode == 0, second.stdout + second.stderr
    assert re.search(r"ROC AUC 0\.\d{4}, champion 0\.\d{4}: the champion stays", second.stdout)
    assert len(list(output.glob("flight-delay-core-*"))) == 2
    assert len(list(output.glob("flight-delay-promotion-*"))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--months", "12"], "✗ training_months: '12' ends in December"),
        (["--set", "leafs=3"], "✗ there is no parameter 'leafs'; did you mean leaves?"),
        (["--data", "/nowhere"], "✗ data: there is no folder /nowhere"),
        (["--data", ""], "✗ data is not given"),
        (["--set", "trainer=pytorch"], "✗ trainer pytorch needs a cluster"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_written(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    output = tmp_path / "runs"
    assert local.main(["--data", str(folder), "--output", str(output), *options]) == 1
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_text_that_is_no_assignment_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        local.main(["--data", str(folder), "--set", "iterations"])
    assert ended.value.code == 2
    assert "'iterations' is not NAME=VALUE, as iterations=50" in capsys.readouterr().err


def test_a_failed_step_is_named_and_its_reason_is_above(folder: Path, tmp_path: Path) -> None:
    """The slice has January and February only."""
    done = _run("--data", str(folder), "--months", "5", "--output", str(tmp_path / "runs"))
    assert done.returncode == 1
    assert "month=05.parquet cannot be read" in done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("✗ ")
    assert "preprocess" in last
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/*/train"))
