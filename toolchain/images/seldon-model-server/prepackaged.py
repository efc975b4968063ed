"""The prepackaged servers of Seldon Core that this image stands in for."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from mlops_serving import predictor

# The names that Seldon's own scikit-learn server tries.
_FILES = ("model.joblib", "model.pickle", "model.pkl")


class _Server:
    """Answers with a scikit-learn model."""

    def __init__(self, model: Any, method: str) -> None:
        self._predict = getattr(model, method)

    def predict(self, X: Any, names: list[str], meta: Any = None) -> np.ndarray:  # noqa: N803
        """Return the model's output for an array, or for a table where the request has names."""
        answer: np.ndarray = self._predict(pd.DataFrame(X, columns=names) if names else X)
        return answer


class SKLearnServer(_Server):
    """SKLEARN_SERVER: a model that joblib or pickle wrote."""

    def __init__(self, model_uri: str, method: str = "predict_proba") -> None:
        """Load the model.

        Args:
            model_uri: folder with model.joblib, model.pickle or model.pkl.
            method: predict, predict_proba or decision_function.
        """
        found = [Path(model_uri, name) for name in _FILES if Path(model_uri, name).is_file()]
        if not found:
            raise predictor.ModelError(f"{model_uri} holds none of {', '.join(_FILES)}")
        super().__init__(joblib.load(found[0]), method)


class MLFlowServer(_Server):
    """MLFLOW_SERVER: a scikit-learn model that MLflow logged."""

    def __init__(self, model_uri: str, method: str = "predict_proba") -> None:
        """Load the model.

        Args:
            model_uri: folder that MLflow logged.
            method: the model's method that answers.
        """
        super().__init__(predictor.load(Path(model_uri)), method)
