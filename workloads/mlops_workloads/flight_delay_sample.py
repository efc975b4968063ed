"""Flights with their outcome, from the data set that the toolchain has on this machine."""

from flight_delay import labelled_sample
from flight_delay.dataset import DatasetError
from mlops_rollout.sample import Sample, SampleError
from mlops_toolchain import layout

# A month that the pipeline neither trains on nor evaluates with, as it stands.
_SHOWN_MONTH = 6


def tested_with() -> Sample:
    """Return the flights that a version is tested with.

    Raises:
        SampleError: the toolchain has not made the data.
    """
    return _read()


def shown(flights: int) -> Sample:
    """Return flights for a user to look at.

    Raises:
        SampleError: the toolchain has not made the data.
    """
    return _read(month=_SHOWN_MONTH, flights=flights)


def _read(**chosen: int) -> Sample:
    try:
        return labelled_sample.read(str(layout.dataset_dir()), **chosen)
    except DatasetError as error:
        raise SampleError(str(error)) from error
