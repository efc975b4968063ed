"""The AWS stack through the real engine, with moto as AWS."""

import pytest

from mlops_infra.aws.presets import PRESETS
from mlops_stack.rehearsal.command import rehearse
from tests.conformance.tools import find

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(find("pulumi") is None, reason="no pulumi; run `make toolchain`"),
]


def test_the_aws_stack_goes_up_and_leaves_nothing() -> None:
    # Raises where a step fails, where a second preview or a refresh differs, and for leftovers.
    # The first size has platform and workloads; the other ones are for `make rehearse`.
    rehearse(tuple(PRESETS)[:1])
