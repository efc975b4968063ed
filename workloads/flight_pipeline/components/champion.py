"""Champion: which registered version a new model must beat."""

from typing import NamedTuple

from kfp import dsl

from flight_pipeline.settings import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def champion(
    model_name: str,
) -> NamedTuple("Champion", version=str, model=str):  # type: ignore[valid-type]
    """Return the champion's version and its model's address; both are empty when there is none."""
    from collections import namedtuple

    from flight_delay import tracking

    found = tracking.champion(model_name)
    champion = namedtuple("champion", "version model")
    return champion(str(found.version), str(found.source)) if found else champion("", "")
