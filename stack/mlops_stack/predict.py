"""`make predict`: real flights, what each serving engine says of them, and what happened."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from flight_rollout import labelled_sample
from flight_rollout.engine import Answer
from flight_rollout.engines import ENGINES
from flight_rollout.labelled_sample import Sample
from mlops_infra import direct
from mlops_stack import report
from mlops_stack.outputs import StackOutputs
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.serving import TITLES
from mlops_stack.serving import outputs as serving_outputs
from mlops_toolchain import layout

# A month that the pipeline neither trains on nor evaluates with, as it stands.
_MONTH: Final = 6
_MOST: Final = 1000
_TIMEOUT_SECONDS: Final = 30


class PredictError(PulumiError):
    """Nothing is predicted; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the engines say of some flights.

    Attributes:
        sample: the flights.
        answers: the answers, by engine.
    """

    sample: Sample
    answers: Mapping[str, Answer]


def predict(stack: Stack, *, flights: str = "5") -> None:
    """Ask every engine that serves for the same flights, and print the answers side by side.

    Args:
        stack: the stack, which is up.
        flights: how many flights, as the user wrote it.

    Raises:
        PredictError: the number is none, or an engine does not answer.
        PulumiError: the stack is not up, or serves nothing.
    """
    # More digits than Python turns into a number are none.
    if not re.fullmatch(r"[0-9]{1,9}", flights) or not 1 <= int(flights) <= _MOST:
        raise PredictError(f"FLIGHTS={flights} is no number from 1 to {_MOST}")
    outputs = serving_outputs(stack)
    for line in lines(ask(outputs, int(flights))):
        report.plain(line)


def ask(outputs: StackOutputs, flights: int, *, engines: Iterable[str] = ENGINES) -> Said:
    """Return what each engine of a stack says of some flights.

    Args:
        outputs: the stack's outputs.
        flights: how many.
        engines: which ones; those that the stack does not have are left out.

    Raises:
        PredictError: an engine does not answer, or with less than it was asked for.
    """
    sample = labelled_sample.read(str(layout.dataset_dir()), month=_MONTH, flights=flights)
    answers = {}
    for name in engines:
        engine, url = ENGINES[name], outputs.model_url(name)
        if not url:
            continue
        path, body = engine.request(sample.rows)
        try:
            with direct.client(timeout=_TIMEOUT_SECONDS) as client:
                found = client.post(f"{url}/{path}", json=body)
            found.raise_for_status()
            answers[name] = engine.answer(found.json())
        except (httpx.HTTPError, ValueError) as error:
            raise PredictError(
                f"{TITLES[name]} does not answer at {url}: {error}; `make up` mends it"
            ) from error
        if len(answers[name].probabilities) != flights:
            raise PredictError(f"{TITLES[name]} answers {flights} flights with {found.text[:200]}")
    return Said(sample=sample, answers=answers)


def lines(said: Said) -> list[str]:
    """Return a table: a line a flight, a column an engine."""
    engines = [f"{TITLES[name]} v{it.version}" for name, it in said.answers.items()]
    table = [["flight", "departs", *engines, "was"]]
    for number, (row, late) in enumerate(zip(said.sample.rows, said.sample.late, strict=True)):
        minutes = int(row["scheduled_departure_minute"])
        table.append(
            [
                f"{row['carrier']} {row['origin']}-{row['dest']}",
                f"{minutes // 60:02}:{minutes % 60:02}",
                *(f"{answer.probabilities[number]:.3f}" for answer in said.answers.values()),
                "late" if late else "on time",
            ]
        )
    return ["chance of arriving late, flights of June 2013", *_columns(table)]


def _columns(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  "
        + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
