"""The columns of the flights as the numbers that a network takes."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from flight_delay import features


def encoder() -> ColumnTransformer:
    """Return an unfitted encoder from `features.COLUMNS` to float32.

    Every worker fits it on all rows, not on its share: the networks must see the same numbers.
    """
    numbers = Pipeline([("missing", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    return ColumnTransformer(
        [
            (
                "categories",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32),
                list(features.CATEGORICAL),
            ),
            ("numbers", numbers, list(features.NUMERIC)),
        ]
    )
