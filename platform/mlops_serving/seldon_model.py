"""A classifier behind Seldon's Python server: Seldon's protocol in, Seldon's protocol out."""

import gc
import os
from typing import Any, ClassVar

from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.utils import json_to_seldon_message, seldon_message_to_json

from mlops_serving import predictor, seldon_protocol
from mlops_serving.predictor import AnswerError
from mlops_serving.schema import Schema, SchemaError


class Classifier:
    """What `seldon-core-microservice` serves.

    The model is loaded by the constructor, before the server forks: its processes share the memory.

    Attributes:
        schema: what the model is asked; None for the signature that MLflow noted.
    """

    schema: ClassVar[Schema | None] = None

    def __init__(self, model_uri: str = predictor.FOLDER, model_version: str = "") -> None:
        """Load the model.

        Args:
            model_uri: folder that the model initializer filled.
            model_version: registered version, if the graph's parameters name it.

        Raises:
            ModelError: the folder holds no model.
        """
        if model_version:
            os.environ["MODEL_VERSION"] = model_version
        self._predictor = predictor.from_environment(model_uri, self.schema)
        # A collection writes to every object that it looks at, which would copy the memory.
        os.register_at_fork(before=gc.freeze)

    def predict_raw(self, message: Any) -> Any:
        """Return the answer to a message, REST or gRPC.

        Raises:
            SeldonMicroserviceException: 400, naming each row and field that is wrong; 500 where
                the model answers with no number.
        """
        rest = isinstance(message, dict)
        request = message if rest else seldon_message_to_json(message)
        try:
            fields = self._predictor.schema.fields
            rows, request_id = seldon_protocol.read(fields, request)
            answer = self._predictor.answer(rows, request_id)
        except SchemaError as error:
            raise SeldonMicroserviceException(
                str(error), status_code=400, reason="MALFORMED_REQUEST"
            ) from error
        except AnswerError as error:
            raise SeldonMicroserviceException(
                str(error), status_code=500, reason="NO_ANSWER"
            ) from error
        response = seldon_protocol.write(answer)
        return response if rest else json_to_seldon_message(response)
