"""nginx's configuration of the serving gateway: one address a model, a weight a version."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PORT: Final = 8080
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_WHOLE = 100


class RouteError(ValueError):
    """A route cannot be configured; the message names it and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A version behind a route.

    Attributes:
        host: `name:port` of its Service.
        weight: its share of the requests in percent.
    """

    host: str
    weight: int


@dataclass(frozen=True, kw_only=True)
class Route:
    """A model's address, `/<engine>/<namespace>/<name>/`.

    Attributes:
        engine: kserve or seldon.
        namespace: namespace of the model's servers.
        name: the model's name.
        backends: where its requests go; weights sum to 100.
    """

    engine: str
    namespace: str
    name: str
    backends: tuple[Backend, ...]

    @property
    def path(self) -> str:
        """The address, without a slash at its end."""
        return f"/{self.engine}/{self.namespace}/{self.name}"


# Where the routes' files are in the gateway's container.
ROUTES_FOLDER: Final = "/etc/gateway-routes"
_SPLITS, _LOCATIONS = "splits.conf", "locations.conf"
# While this file is there, each answer of a model is its connection's last.
DRAINING: Final = "/tmp/draining"  # noqa: S108 - the container's own, which nobody else writes

# `RESOLVER` stands for the address of the cluster's DNS. Until something is rolled out there are
# no routes: a pattern that matches no file is no error.
BASE: Final = f"""worker_processes 1;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
events {{ worker_connections 1024; }}
# Requests that a reload finds end in the worker that took them.
worker_shutdown_timeout 30s;
http {{
  access_log off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  client_max_body_size 8m;
  client_body_buffer_size 1m;
  resolver RESOLVER valid=5s ipv6=off;
  include {ROUTES_FOLDER}/{_SPLITS}*;
  server {{
    listen {PORT} backlog=1024;
    # Anything that a client sends twice is a prediction twice, which harms nobody: a server that
    # ends between two requests costs none.
    proxy_next_upstream error timeout non_idempotent;
    proxy_next_upstream_tries 3;
    proxy_connect_timeout 2s;
    proxy_read_timeout 30s;
    proxy_set_header X-Request-ID $request_id;
    location = /healthz {{ return 200 "ok\\n"; }}
    include {ROUTES_FOLDER}/{_LOCATIONS}*;
    location / {{ return 404 "no model is at this address\\n"; }}
  }}
}}
"""


def render(routes: Sequence[Route]) -> dict[str, str]:
    """Return the files of `ROUTES_FOLDER` by name.

    Raises:
        RouteError: a name that no path can hold, an address twice, or weights that do not sum to
            100.
    """
    _check(routes)
    return {
        _SPLITS: "".join(_split(number, route) for number, route in enumerate(routes)),
        _LOCATIONS: "".join(_location(number, route) for number, route in enumerate(routes)),
    }


def _check(routes: Sequence[Route]) -> None:
    paths = [route.path for route in routes]
    for route in routes:
        for part in (route.engine, route.namespace, route.name):
            if not _NAME.fullmatch(part):
                raise RouteError(
                    f"{part!r} cannot be part of an address; use lower-case letters, digits and "
                    "hyphens"
                )
        total = sum(backend.weight for backend in route.backends)
        if total != _WHOLE or any(backend.weight < 0 for backend in route.backends):
            raise RouteError(f"{route.path}: weights must sum to {_WHOLE}, not {total}")
        if paths.count(route.path) > 1:
            raise RouteError(f"{route.path} is there more than once")


def _split(number: int, route: Route) -> str:
    shares = [backend for backend in route.backends if backend.weight]
    lines = [f"  {each.weight}% {each.host};" for each in shares[:-1]]
    # The last takes the rest, so that no request is without a server.
    lines.append(f"  * {shares[-1].host};")
    return f"split_clients $request_id $backend{number} {{\n" + "\n".join(lines) + "\n}\n"


def _location(number: int, route: Route) -> str:
    """Return a route, and the same for a gateway that is about to end.

    nginx ends by closing the connections that clients keep, maybe just when a request comes on one.
    So they are told before to take another; whether it keeps a connection is a location's word.
    """
    to = f"  proxy_pass http://$backend{number}/$1$is_args$args;\n"
    return (
        f"location ~ ^{route.path}/(.*)$ {{\n"
        f"  if (-f {DRAINING}) {{ rewrite ^ /draining$uri last; }}\n{to}}}\n"
        f"location ~ ^/draining{route.path}/(.*)$ {{\n"
        f"  internal;\n  keepalive_timeout 0;\n{to}}}\n"
    )
