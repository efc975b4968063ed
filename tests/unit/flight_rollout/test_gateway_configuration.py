import pytest

from flight_rollout import gateway_configuration
from flight_rollout.gateway_configuration import Backend, Route, RouteError


def _route(*weights: int, name: str = "flight-delay") -> Route:
    backends = tuple(Backend(host=f"v{n}:9000", weight=w) for n, w in enumerate(weights, start=1))
    return Route(engine="seldon", namespace="seldon", name=name, backends=backends)


def test_weights_are_shares_and_the_last_takes_the_rest() -> None:
    files = gateway_configuration.render([_route(90, 10)])
    assert "  90% v1:9000;\n  * v2:9000;\n" in files["splits.conf"]
    assert 'location ~ "^/seldon/seldon/flight-delay/(' in files["locations.conf"]


def test_a_gateway_that_ends_keeps_no_connection_and_nobody_asks_for_that() -> None:
    text = gateway_configuration.render([_route(100)])["locations.conf"]
    kept, _, ended = text.partition('location ~ "^/draining/seldon/seldon/flight-delay/(')
    assert f"if (-f {gateway_configuration.DRAINING}) {{ rewrite ^ /draining$uri last; }}" in kept
    assert "keepalive_timeout" not in kept
    assert "internal;" in ended
    assert "keepalive_timeout 0;" in ended


def test_a_version_without_weight_gets_no_request() -> None:
    text = gateway_configuration.render([_route(100, 0)])["splits.conf"]
    assert "v2:9000" not in text
    assert "  * v1:9000;" in text


@pytest.mark.parametrize("weights", [(90,), (60, 60), (), (110, -10)])
def test_weights_must_sum_to_a_whole(weights: tuple[int, ...]) -> None:
    with pytest.raises(RouteError, match="/seldon/seldon/flight-delay: weights must sum to 100"):
        gateway_configuration.render([_route(*weights)])


@pytest.mark.parametrize("name", ["", "a/b", "a;b", "A", "a b", "{"])
def test_a_name_that_no_address_holds_is_refused(name: str) -> None:
    with pytest.raises(RouteError, match="cannot be part of an address"):
        gateway_configuration.render([_route(100, name=name)])


def test_an_engine_whose_paths_are_unknown_is_refused() -> None:
    route = Route(engine="other", namespace="a", name="b", backends=_route(100).backends)
    with pytest.raises(RouteError, match="'other' is no serving engine; they are kserve, seldon"):
        gateway_configuration.render([route])


def test_an_address_twice_is_refused() -> None:
    with pytest.raises(RouteError, match="more than once"):
        gateway_configuration.render([_route(100), _route(100)])
