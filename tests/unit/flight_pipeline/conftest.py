"""The same flights as the package's own tests."""

from tests.unit.flight_delay.conftest import folder, whole

__all__ = ["folder", "whole"]
