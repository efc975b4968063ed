"""A classifier behind MLServer: the Open Inference Protocol in, the same out."""

from typing import Any, ClassVar

from mlserver import MLModel
from mlserver.errors import InferenceError, MLServerError
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    ResponseOutput,
)

from mlops_serving import predictor, v2_protocol
from mlops_serving.predictor import AnswerError
from mlops_serving.schema import Schema, SchemaError


class ClassifierRuntime(MLModel):  # type: ignore[misc]  # MLServer is in the image alone
    """What KServe's runtime of MLServer serves; the model's URI is the folder of the model.

    Attributes:
        schema: what the model is asked; None for the signature that MLflow noted.
    """

    schema: ClassVar[Schema | None] = None

    async def load(self) -> bool:
        """Load the model.

        Raises:
            ModelError: the folder holds no model.
        """
        parameters = self.settings.parameters
        folder = parameters.uri if parameters and parameters.uri else predictor.FOLDER
        self._predictor = predictor.from_environment(folder, self.schema)
        asked = self._predictor.schema
        self.inputs = [
            MetadataTensor(
                name=field,
                datatype="BYTES" if field in asked.texts else "FP64",
                shape=[-1, 1],
            )
            for field in asked.fields
        ]
        self.outputs = [MetadataTensor(name=v2_protocol.OUTPUT, datatype="FP64", shape=[-1, 1])]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the probability of the second class for each row.

        Raises:
            InferenceError: 400, naming each row and field that is wrong.
            MLServerError: 500, the model answers with no number.
        """
        try:
            inputs = [_tensor(each) for each in payload.inputs]
            rows = v2_protocol.read(self._predictor.schema.fields, inputs)
            answer = self._predictor.answer(rows, payload.id or "")
        except SchemaError as error:
            raise InferenceError(str(error)) from error
        except AnswerError as error:
            raise MLServerError(str(error), 500) from error
        return InferenceResponse(
            model_name=self.name,
            model_version=answer.model_version or None,
            id=answer.request_id,
            parameters=Parameters(request_id=answer.request_id),
            outputs=[
                ResponseOutput(
                    name=v2_protocol.OUTPUT,
                    datatype="FP64",
                    shape=[len(answer.probabilities), 1],
                    data=answer.probabilities,
                )
            ],
        )


def _tensor(given: Any) -> dict[str, Any]:
    return {"name": given.name, "shape": given.shape, "data": given.data.root}
