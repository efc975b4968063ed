"""The classifier."""

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from flight_delay import features

SEED = 2013


def create(*, learning_rate: float = 0.08, iterations: int = 150, leaves: int = 31) -> Pipeline:
    """Return an untrained pipeline from `features.COLUMNS` to the probability of lateness.

    Args:
        learning_rate: shrinkage of each tree.
        iterations: number of trees.
        leaves: largest number of leaves of a tree.
    """
    encode = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1
    )
    columns = ColumnTransformer(
        [("categories", encode, list(features.CATEGORICAL))],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    trees = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=iterations,
        max_leaf_nodes=leaves,
        l2_regularization=1.0,
        # More than 100 destinations; trees treat the codes as categories, not as an order.
        categorical_features=list(range(len(features.CATEGORICAL))),
        random_state=SEED,
    )
    return Pipeline([("columns", columns), ("trees", trees)])
