"""The pipeline's parameters: defaults, and the checks that run before anything is submitted."""

import difflib
from collections.abc import Mapping
from typing import Any, Final

from flight_delay import months
from flight_training import settings
from flight_training.errors import TrainingError
from flight_training.job import FRAMEWORKS

# Values of a run that says nothing. `data` has no default: each stack has its own.
DEFAULTS: Final[Mapping[str, Any]] = {
    "training_months": "1-3",
    "evaluation_month": 4,
    "learning_rate": 0.08,
    "iterations": 150,
    "leaves": 31,
    "candidates": [],
    "trainer": "sklearn",
    "network": {},
    "promotion_margin": 0.0,
    "canary_percent": 0,
    "model_name": "flight-delay",
}
_HYPERPARAMETERS: Final[Mapping[str, tuple[type, float, float]]] = {
    "learning_rate": (float, 0.001, 1.0),
    "iterations": (int, 1, 2000),
    "leaves": (int, 2, 255),
}
_MOST_CANDIDATES = 20
TRAINERS: Final = ("sklearn", *FRAMEWORKS)


class ParametersError(ValueError):
    """A run cannot be started with these parameters; the message names each and the remedy."""


def validate(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run, with defaults for what is not given.

    `evaluation_month` follows the training months when only those are given.

    Args:
        given: names to values, as the pipeline declares them.

    Raises:
        ParametersError: an unknown name, a value of another type or out of bounds, or months that
            both train and evaluate.
    """
    known = {*DEFAULTS, "data"}
    problems = [
        f"there is no parameter {name!r}{_hint(name, known)}" for name in given if name not in known
    ]
    found = {**DEFAULTS, **{name: value for name, value in given.items() if name in known}}
    if not isinstance(found.get("data", ""), str):
        problems.append("data must be a folder or s3://bucket/prefix")
    problems += _month_problems(found, derive="evaluation_month" not in given)
    problems += _hyperparameter_problems("", {name: found[name] for name in _HYPERPARAMETERS})
    problems += _candidate_problems(found["candidates"])
    problems += _trainer_problems(given, found)
    margin = found["promotion_margin"]
    if not _is(margin, float) or not 0 <= margin <= 1:
        problems.append(
            f"promotion_margin is {margin!r}; write how much more ROC AUC promotes, from 0 to 1"
        )
    percent = found["canary_percent"]
    if not _is(percent, int) or not 0 <= percent <= 99:
        problems.append(
            f"canary_percent is {percent!r}; write the share of the requests, from 1 to 99, that a "
            "better model gets beside the champion, or 0 to replace it"
        )
    if not isinstance(found["model_name"], str) or not found["model_name"].strip():
        problems.append("model_name is empty; write the registered model's name")
    if problems:
        raise ParametersError("\n".join(problems))
    return {**_whole(found), "candidates": [_whole(each) for each in found["candidates"]]}


def _month_problems(found: dict[str, Any], *, derive: bool) -> list[str]:
    try:
        training = months.parse(str(found["training_months"]))
    except months.MonthsError as error:
        return [f"training_months: {error}"]
    if derive:
        found["evaluation_month"] = training.evaluate
    evaluation = found["evaluation_month"]
    if not _is(evaluation, int) or not 1 <= evaluation <= 12:
        return [f"evaluation_month is {evaluation!r}; write a month from 1 to 12"]
    if evaluation in training.train:
        return [
            f"evaluation_month {evaluation} is among the training months "
            f"{found['training_months']}: a model must be judged on flights that it never saw; "
            f"write for example {training.evaluate}"
        ]
    return []


def _hyperparameter_problems(where: str, values: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, value in values.items():
        kind, low, high = _HYPERPARAMETERS[name]
        if not _is(value, kind) or not low <= value <= high:
            problems.append(
                f"{where}{name} is {value!r}; write a number from {low:g} to {high:g}"
                + (" without a fraction" if kind is int else "")
            )
    return problems


def _candidate_problems(candidates: Any) -> list[str]:
    if not isinstance(candidates, list) or not all(isinstance(c, dict) for c in candidates):
        return ['candidates must be a list of objects such as [{"learning_rate": 0.05}]']
    if len(candidates) > _MOST_CANDIDATES:
        return [f"{len(candidates)} candidates are too many; give at most {_MOST_CANDIDATES}"]
    problems = []
    for number, candidate in enumerate(candidates, start=1):
        where = f"candidate {number}: "
        unknown = [name for name in candidate if name not in _HYPERPARAMETERS]
        problems += [
            f"{where}there is no hyperparameter {name!r}{_hint(name, set(_HYPERPARAMETERS))}"
            for name in unknown
        ]
        known = {name: value for name, value in candidate.items() if name not in unknown}
        problems += _hyperparameter_problems(where, known)
    return problems


def _trainer_problems(given: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    trainer, network = found["trainer"], found["network"]
    if trainer not in TRAINERS:
        return [f"trainer is {trainer!r}; write {', '.join(TRAINERS[:-1])} or {TRAINERS[-1]}"]
    if not isinstance(network, dict):
        return ['network must be an object such as {"epochs": 8}']
    problems = []
    if trainer == "sklearn" and network:
        problems.append(
            "network is what a network is trained with, and trainer is sklearn; write "
            f"trainer={' or trainer='.join(FRAMEWORKS)} with it"
        )
    if trainer != "sklearn":
        # Those that say nothing new are no contradiction: an answer is given to this function too.
        of_trees = [
            name
            for name in (*_HYPERPARAMETERS, "candidates")
            if given.get(name, DEFAULTS[name]) != DEFAULTS[name]
        ]
        if of_trees:
            problems.append(
                f"{', '.join(of_trees)}: of trees, and trainer is {trainer}; a network takes "
                'network={"epochs": 8}'
            )
    try:
        settings.parse(network)
    except TrainingError as error:
        problems += [f"network: {line}" for line in str(error).splitlines()]
    return problems


def _is(value: Any, kind: type) -> bool:
    # True is an int to Python, and to nobody else.
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return True
    return isinstance(value, float) and (kind is float or value.is_integer())


def _whole(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with 4 for 4.0: Pulumi and JSON know one kind of number, the steps two."""
    kinds = {name: kind for name, (kind, _, _) in _HYPERPARAMETERS.items()}
    kinds["evaluation_month"] = kinds["canary_percent"] = int
    return {name: int(value) if kinds.get(name) is int else value for name, value in values.items()}


def _hint(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(known))}"
