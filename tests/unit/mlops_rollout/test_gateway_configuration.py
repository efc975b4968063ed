import pytest

from mlops_rollout import gateway_configuration
from mlops_rollout.gateway_configuration import Backend, Route, RouteError


def _route(*weights: int, name: str = "flight-delay") -> Route:
    backends = tuple(Backend(host=f"v{n}:9000", weight=w) for n, w in enumerate(weights, start=1))
    return Route(engine="seldon", namespace="seldon", name=name, backends=backends)


def test_weights_are_shares_and_the_last_takes_the_rest() -> None:
    files = gateway_configuration.render([_route(90, 10)])
    assert "  90% v1:9000;\n  * v2:9000;\n" in files["splits.conf.flight-delay"]
    assert 'location ~ "^/seldon/seldon/flight-delay/(' in files["locations.conf.flight-delay"]


def test_a_gateway_that_ends_keeps_no_connection_and_nobody_asks_for_that() -> None:
    text = gateway_configuration.render([_route(100)])["locations.conf.flight-delay"]
    kept, _, ended = text.partition('location ~ "^/draining/seldon/seldon/flight-delay/(')
    assert f"if (-f {gateway_configuration.DRAINING}) {{ rewrite ^ /draining$uri last; }}" in kept
    assert "keepalive_timeout" not in kept
    assert "internal;" in ended
    assert "keepalive_timeout 0;" in ended


def test_a_version_without_weight_gets_no_request() -> None:
    text = gateway_configuration.render([_route(100, 0)])["splits.conf.flight-delay"]
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


def test_each_model_has_files_of_its_own_whose_variables_no_other_has() -> None:
    files = gateway_configuration.render([_route(100), _route(100, name="flight-delay-0")])
    assert gateway_configuration.models(files) == {"flight-delay", "flight-delay-0"}
    variables = [
        line.split()[2]
        for name, text in files.items()
        if name.startswith("splits.conf.")
        for line in text.splitlines()
        if line.startswith("split_clients")
    ]
    assert len(set(variables)) == len(variables) == 2
    own = gateway_configuration.files_of(files, "flight-delay")
    assert own == gateway_configuration.render([_route(100)])


# As that release wrote them: the routes of a stack of it, which was up.
BY_RELEASE_0_1_0 = {
    "splits.conf": """split_clients $request_id $backend0 {
  * flight-delay-v1-v4z24-predictor.serving.svc.cluster.local:80;
}
split_clients $request_id $backend1 {
  10% flight-delay-v2-k8sxz-default.seldon.svc.cluster.local:9000;
  * flight-delay-v1-xqb2p-default.seldon.svc.cluster.local:9000;
}
""",
    "locations.conf": """location ~ ^/kserve/serving/flight-delay/(.*)$ {
  if (-f /tmp/draining) { rewrite ^ /draining$uri last; }
  proxy_pass http://$backend0/$1$is_args$args;
}
location ~ ^/draining/kserve/serving/flight-delay/(.*)$ {
  internal;
  keepalive_timeout 0;
  proxy_pass http://$backend0/$1$is_args$args;
}
location ~ ^/seldon/seldon/flight-delay/(.*)$ {
  if (-f /tmp/draining) { rewrite ^ /draining$uri last; }
  proxy_pass http://$backend1/$1$is_args$args;
}
location ~ ^/draining/seldon/seldon/flight-delay/(.*)$ {
  internal;
  keepalive_timeout 0;
  proxy_pass http://$backend1/$1$is_args$args;
}
""",
}


def test_the_files_of_release_0_1_0_are_those_of_its_model() -> None:
    assert gateway_configuration.models(BY_RELEASE_0_1_0) == {"flight-delay"}
    own = gateway_configuration.files_of(BY_RELEASE_0_1_0, "flight-delay")
    assert set(own) == {"splits.conf.flight-delay", "locations.conf.flight-delay"}
    # They let pass what a model is not to be asked for, so that they are never what is wanted.
    assert own != gateway_configuration.render([_route(90, 10)])
    assert not gateway_configuration.files_of(BY_RELEASE_0_1_0, "other")


def test_they_make_room_for_the_models_files_and_stay_beside_those_of_another() -> None:
    files, new = BY_RELEASE_0_1_0, gateway_configuration.render([_route(100)])
    assert gateway_configuration.merge(files, "flight-delay", new) == new
    other = gateway_configuration.render([_route(100, name="other")])
    assert gateway_configuration.merge(files, "other", other) == {**files, **other}
