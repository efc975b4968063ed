"""`make predict`: real rows, what each serving engine says of them, and what happened."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from mlops_infra import direct
from mlops_rollout.engine import Answer
from mlops_rollout.engines import ENGINES
from mlops_rollout.sample import Sample, SampleError
from mlops_stack import report, workload_choice
from mlops_stack.outputs import WorkloadOutputs
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.serving import TITLES
from mlops_stack.serving import outputs as serving_outputs
from mlops_workloads.commands import WorkloadCommands

_MOST: Final = 1000
_TIMEOUT_SECONDS: Final = 30


class PredictError(PulumiError):
    """Nothing is predicted; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What the engines say of some rows.

    Attributes:
        sample: the rows.
        answers: the answers, by engine.
    """

    sample: Sample
    answers: Mapping[str, Answer]


def predict(stack: Stack, *, workload: str = "", rows: str = "5") -> None:
    """Ask every engine that serves for the same rows, and print the answers side by side.

    Args:
        stack: the stack, which is up.
        workload: whose model, as the user wrote it; empty for the only one.
        rows: how many rows, as the user wrote it.

    Raises:
        PredictError: the number is none, or an engine does not answer.
        PulumiError: the stack is not up, or serves nothing.
    """
    # More digits than Python turns into a number are none.
    if not re.fullmatch(r"[0-9]{1,9}", rows) or not 1 <= int(rows) <= _MOST:
        raise PredictError(f"ROWS={rows} is no number from 1 to {_MOST}")
    chosen = workload_choice.choose(workload)
    has = serving_outputs(stack).workload(chosen.NAME)
    for line in lines(chosen, ask(chosen, has, int(rows))):
        report.plain(line)


def ask(
    workload: WorkloadCommands,
    has: WorkloadOutputs,
    rows: int,
    *,
    engines: Iterable[str] = ENGINES,
) -> Predictions:
    """Return what each engine of a stack says of some rows.

    Args:
        workload: whose model.
        has: what the stack has of it.
        rows: how many.
        engines: which ones; those that the stack does not have are left out.

    Raises:
        PredictError: an engine does not answer, or with less than it was asked for.
    """
    try:
        sample = workload.sample(rows)
    except SampleError as error:
        raise PredictError(str(error)) from error
    names = {server.engine: server.name for server in has.servers}
    answers = {}
    for name in engines:
        engine, url = ENGINES[name], has.model_url(name)
        if not url:
            continue
        path, body = engine.request(names[name], sample.rows)
        try:
            with direct.client(timeout=_TIMEOUT_SECONDS) as client:
                found = client.post(f"{url}/{path}", json=body)
            found.raise_for_status()
            answers[name] = engine.answer(found.json())
        except (httpx.HTTPError, ValueError) as error:
            raise PredictError(
                f"{TITLES[name]} does not answer at {url}: {error}; `make up` mends it"
            ) from error
        if len(answers[name].probabilities) != rows:
            raise PredictError(f"{TITLES[name]} answers {rows} rows with {found.text[:200]}")
    return Predictions(sample=sample, answers=answers)


def lines(workload: WorkloadCommands, predictions: Predictions) -> list[str]:
    """Return a table: a line a row, a column an engine."""
    sample, answers = predictions.sample, predictions.answers
    engines = [f"{TITLES[name]} v{it.version}" for name, it in answers.items()]
    table = [[*workload.headings(), *engines, "was"]]
    for number, (row, label) in enumerate(zip(sample.rows, sample.labels, strict=True)):
        table.append(
            [
                *workload.cells(number + 1, row),
                *(f"{answer.probabilities[number]:.3f}" for answer in answers.values()),
                workload.outcome(label=label),
            ]
        )
    return [workload.TITLE, *_columns(table)]


def _columns(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  "
        + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
