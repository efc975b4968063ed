"""The model from a folder, and its answers."""

import math
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from mlops_serving.prediction_log import PredictionLog
from mlops_serving.schema import Schema, SignatureSchema

# The folder that storage initializers fill.
FOLDER: Final = "/mnt/models"


class ModelError(Exception):
    """A folder holds no model that can be served; the message names it and what is missing."""


class AnswerError(Exception):
    """The model answers with what is no probability; the message names version and row."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Probabilities, and what they can be traced by.

    Attributes:
        probabilities: of the model's second class, in the order of the request.
        model_version: registered version of the model.
        request_id: the caller's, or a new one.
    """

    probabilities: list[float]
    model_version: str
    request_id: str


class Predictor:
    """Answers requests with a model, and takes note of them."""

    def __init__(
        self,
        folder: str | Path,
        *,
        model_version: str,
        log: PredictionLog,
        schema: Schema | None = None,
    ) -> None:
        """Load the model.

        Args:
            folder: what MLflow logged, or its parent: a file MLmodel and what that names.
            schema: what it is asked; None for the signature that MLflow noted.
            model_version: registered version, for answers and the log.
            log: record of the predictions.

        Raises:
            ModelError: the folder holds no scikit-learn model of MLflow, or one without signature
                that no schema was given for.
        """
        self.model_version = model_version
        self.log = log
        self._model = load(Path(folder))
        self.schema = schema or _signature(Path(folder))

    def answer(self, rows: Sequence[Mapping[str, Any]], request_id: str = "") -> Answer:
        """Return the probabilities of the second class.

        Args:
            rows: one mapping of field to value for each row.
            request_id: the caller's id; a new one is made when it is empty.

        Raises:
            AnswerError: the model answers with what is no finite number.
            SchemaError: a row is not what the model was trained on.
        """
        table = self.schema.frame(rows)
        found = [float(each) for each in self._model.predict_proba(table)[:, 1]]
        for number, each in enumerate(found):
            # JSON has no word for it: each engine would write another.
            if not math.isfinite(each):
                raise AnswerError(
                    f"version {self.model_version or 'of no number'} of the model answers row "
                    f"{number} with {each}, which is no probability; serve another version"
                )
        request_id = request_id or uuid.uuid4().hex
        self.log.record(request_id, self.model_version, table.to_dict("records"), found)
        return Answer(probabilities=found, model_version=self.model_version, request_id=request_id)


def from_environment(folder: str = FOLDER, schema: Schema | None = None) -> Predictor:
    """Return the predictor that the environment describes.

    REGISTERED_MODEL and MODEL_VERSION name the model; `PredictionLog.from_environment` reads
    the rest.

    Args:
        folder: what MLflow logged, or its parent.
        schema: what the model is asked; None for the signature that MLflow noted.

    Raises:
        ModelError: see `Predictor`.
    """
    name = os.environ.get("REGISTERED_MODEL", "model")
    return Predictor(
        folder,
        model_version=os.environ.get("MODEL_VERSION", ""),
        log=PredictionLog.from_environment(name),
        schema=schema,
    )


def load(folder: Path) -> Any:
    """Return the scikit-learn model of a folder that MLflow logged.

    Only the file is read that MLflow's own loader would read: a server needs no MLflow, which
    takes seconds to import and hundreds of megabytes of memory.

    Raises:
        ModelError: there is no MLmodel file, or no scikit-learn model in it.
    """
    description = _description(folder)
    flavours = yaml.safe_load(description.read_text()).get("flavors", {})
    flavour = flavours.get("sklearn")
    if flavour is None:
        raise ModelError(
            f"{description} names no scikit-learn model, but {', '.join(flavours) or 'nothing'}"
        )
    file = description.parent / flavour["pickled_model"]
    if not file.is_file():
        raise ModelError(f"{description} names {file.name}, which is not there")
    # A pipeline of ours, from the stack's own registry.
    if flavour.get("serialization_format") == "cloudpickle":
        import cloudpickle  # noqa: PLC0415 - joblib and skops models do without

        with file.open("rb") as stream:
            return cloudpickle.load(stream)
    import joblib  # noqa: PLC0415

    return joblib.load(file)


def _description(folder: Path) -> Path:
    """Return the file MLmodel of a folder."""
    # Initializers copy either a folder's content or the folder.
    candidates = [folder / "MLmodel", *sorted(folder.glob("*/MLmodel"))]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        raise ModelError(f"{folder} holds no file MLmodel; is the model's URI a folder of MLflow?")
    return found


def _signature(folder: Path) -> SignatureSchema:
    description = _description(folder)
    try:
        return SignatureSchema.read(yaml.safe_load(description.read_text()))
    except ValueError as error:
        raise ModelError(f"{description}: {error}") from error
