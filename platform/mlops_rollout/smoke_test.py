"""Whether a version serves: it is ready, and answers real requests sensibly."""

import time
from collections.abc import Callable
from typing import Final

from mlops_rollout.engine import Answer, State
from mlops_rollout.errors import ServingError
from mlops_rollout.sample import Sample

_WAIT_SECONDS: Final = 300
# A failure that lasts is one: an object store that starts later mends others.
_PATIENCE_SECONDS: Final = 60


def wait(
    name: str,
    read: Callable[[], State],
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Return once a version serves as it was last applied.

    Args:
        name: what is waited for.
        read: returns its state.
        pause: waits for some seconds.
        clock: seconds since any moment.

    Raises:
        ServingError: it does not within five minutes, or fails for a minute with the same reason.
    """
    end, failing_since, reason = clock() + _WAIT_SECONDS, clock(), ""
    while clock() < end:
        state = read()
        if state.ready:
            return
        if not state.failed or state.detail != reason:
            failing_since, reason = clock(), state.detail if state.failed else ""
        if reason and (state.final or clock() - failing_since > _PATIENCE_SECONDS):
            raise ServingError(f"{name} does not serve: {reason}")
        pause(1)
    raise ServingError(
        f"{name} does not serve after {_WAIT_SECONDS} s: "
        f"{state.detail or 'no controller has seen it'}"
    )


def judge(answer: Answer, sample: Sample, version: str) -> float:
    """Return the ROC AUC of an answer to a labelled sample.

    Raises:
        ServingError: another version answered, a probability is none, or the answers are no
            better than the sample's least.
    """
    if answer.version != version:
        raise ServingError(f"version {answer.version} answered instead of {version}")
    found = answer.probabilities
    if len(found) != len(sample.labels) or not all(0 <= p <= 1 for p in found):
        raise ServingError(f"the answer to {len(sample.labels)} rows is {str(found)[:200]}")
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - seconds

    score = float(roc_auc_score(sample.labels, found))
    if score < sample.least_auc:
        raise ServingError(
            f"version {version} answers {len(sample.labels)} labelled rows with a ROC AUC of "
            f"{score:.3f}, less than {sample.least_auc}"
        )
    return round(score, 4)
