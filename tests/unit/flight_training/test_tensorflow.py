"""A worker's place in a TFJob, which needs no TensorFlow."""

import json

import pytest

from flight_training import tensorflow
from flight_training.errors import TrainingError


@pytest.mark.parametrize(("kind", "index", "number"), [("chief", 0, 0), ("worker", 0, 1)])
def test_the_chief_is_the_first(
    monkeypatch: pytest.MonkeyPatch, kind: str, index: int, number: int
) -> None:
    cluster = {"chief": ["a:2222"], "worker": ["b:2222"]}
    task = {"type": kind, "index": index}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert tensorflow.place() == (number, 2)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"cluster": {}}'])
def test_outside_of_a_job_it_says_so(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(TrainingError, match="TF_CONFIG"):
        tensorflow.place()
