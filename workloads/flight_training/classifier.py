"""A trained network as scikit-learn's own classifier."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import LabelBinarizer

SEED: Final = 2013

# Weights of shape (inputs, outputs) and biases of shape (outputs,).
Layer: TypeAlias = tuple[np.ndarray, np.ndarray]


def sizes(inputs: int, hidden_units: int) -> list[tuple[int, int]]:
    """Return inputs and outputs of each layer; the last gives the log-odds of lateness."""
    return list(pairwise((inputs, hidden_units, hidden_units, 1)))


def pipeline(columns: ColumnTransformer, layers: Sequence[Layer]) -> Pipeline:
    """Return a fitted pipeline from `features.COLUMNS` to probabilities.

    Args:
        columns: the fitted encoder.
        layers: the network's layers, with ReLU between them and the logistic function at the end.
    """
    shapes = [weights.shape for weights, _ in layers]
    network = MLPClassifier(hidden_layer_sizes=[outputs for _, outputs in shapes[:-1]])
    # What `fit` would set, and `predict_proba` reads.
    network.coefs_ = [np.asarray(weights, dtype=np.float64) for weights, _ in layers]
    network.intercepts_ = [np.asarray(biases, dtype=np.float64) for _, biases in layers]
    network.n_layers_ = len(layers) + 1
    network.n_outputs_ = 1
    network.out_activation_ = "logistic"
    network.n_features_in_ = shapes[0][0]
    # Labels are 0.0 and 1.0, as `features.late` gives them.
    network.classes_ = np.array([0.0, 1.0])
    network._label_binarizer = LabelBinarizer().fit(network.classes_)
    return Pipeline([("columns", columns), ("network", network)])
