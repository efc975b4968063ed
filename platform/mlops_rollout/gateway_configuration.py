"""nginx's configuration of the serving gateway: one address a model, a weight a version.

It passes predictions, metadata and health on, and nothing else: who may ask a model may not unload
it. What it answers itself is JSON in the form of the model's protocol.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

PORT: Final = 8080
# Of a request, which docs/serving.md names; and how long a model may take for it.
LARGEST_MEBIBYTES: Final = 8
LONGEST_SECONDS: Final = 30
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
# Each model has files of its own, which a rollout of another one leaves alone. Releases up to 0.1.0
# wrote two files without a model's name, with the routes of their only model.
_FILES: Final = re.compile(rf"(?P<kind>{_SPLITS}|{_LOCATIONS})(?:\.(?P<model>.+))?")
_LOCATION_IN_0_1_0: Final = re.compile(
    r"^location ~ \^/[^/\s]+/[^/\s]+/([^/\s]+)/\(\.\*\)\$ \{", re.MULTILINE
)
# While this file is there, each answer of a model is its connection's last.
DRAINING: Final = "/tmp/draining"  # noqa: S108 - the container's own, which nobody else writes

# What a model's address is asked for, by engine; in regular expressions of nginx. The characters of
# a part need no escape in a request, so that what is matched decoded can be passed as it is.
_PART: Final = "[A-Za-z0-9._~-]+"
_PATHS: Final[Mapping[str, str]] = {
    "kserve": (
        f"v2(?:/health/(?:live|ready)|/models/{_PART}(?:/versions/{_PART})?(?:/(?:ready|infer))?)?"
    ),
    "seldon": (
        "api/v(?:0\\.1|1\\.0)/(?:predictions|health/(?:ping|status)|metadata)|predict"
        "|health/(?:ping|status)|metadata|seldon\\.json"
    ),
}
_REASONS: Final[Mapping[int, str]] = {
    400: "the request is no HTTP that the serving gateway reads, or its header is too large",
    404: "the serving gateway passes predictions, metadata and health of a model on; there is none "
    "at this address",
    413: f"the request is larger than {LARGEST_MEBIBYTES} MiB; send fewer rows at once",
    414: "the address of the request is too long",
    500: "the serving gateway failed",
    502: "no server of the model answers; look at `make status`",
    503: "the serving gateway is too busy",
    504: f"the model has not answered within {LONGEST_SECONDS} s; send fewer rows at once",
}


def _error(engine: str, status: int, reason: str) -> str:
    """Return an error as the protocol of an engine writes it."""
    if engine == "seldon":
        # As Seldon's Python server.
        body: object = {
            "status": {"code": status, "info": reason, "reason": "GATEWAY", "status": "FAILURE"}
        }
    else:
        body = {"error": reason}
    return json.dumps(body)


def _errors(engine: str) -> str:
    """Return the locations of an engine's errors; such an answer is its connection's last."""
    return "".join(
        f"    location @{engine}_{status} {{\n"
        "      default_type application/json;\n"
        "      keepalive_timeout 0;\n"
        f"      return {status} '{_error(engine, status, reason)}\\n';\n"
        "    }\n"
        for status, reason in _REASONS.items()
    )


def _error_pages(engine: str, indent: str) -> str:
    return "".join(f"{indent}error_page {status} @{engine}_{status};\n" for status in _REASONS)


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
  client_max_body_size {LARGEST_MEBIBYTES}m;
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
    proxy_read_timeout {LONGEST_SECONDS}s;
    proxy_set_header X-Request-ID $request_id;
    location = /healthz {{ return 200 "ok\\n"; }}
    include {ROUTES_FOLDER}/{_LOCATIONS}*;
    # The error pages of a location may only be others, not these and more.
{_error_pages("kserve", "    ")}{_errors("kserve")}{_errors("seldon")}
    location / {{ return 404; }}
  }}
}}
"""


def render(routes: Sequence[Route]) -> dict[str, str]:
    """Return the files of `ROUTES_FOLDER` by name: two for each model.

    Raises:
        RouteError: a name that no path can hold, an address twice, or weights that do not sum to
            100.
    """
    _check(routes)
    files: dict[str, str] = {}
    for model in dict.fromkeys(route.name for route in routes):
        own = [route for route in routes if route.name == model]
        # Of all models in one configuration, so that a variable names its model too.
        variables = [_variable(model, number) for number in range(len(own))]
        pairs = list(zip(variables, own, strict=True))
        files[f"{_SPLITS}.{model}"] = "".join(_split(*pair) for pair in pairs)
        files[f"{_LOCATIONS}.{model}"] = "".join(_location(*pair) for pair in pairs)
    return files


def files_of(files: Mapping[str, str], model: str) -> dict[str, str]:
    """Return a model's files out of those of all models, as `render` names them.

    Args:
        files: files of `ROUTES_FOLDER` by name.
        model: the model's name.
    """
    found: dict[str, str] = {}
    for name, text in files.items():
        kind = _FILES.fullmatch(name)
        if kind is None or model not in _models(kind, files):
            continue
        found[f"{kind['kind']}.{model}"] = text
    return found


def merge(files: Mapping[str, str], model: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the files of all models with others for one of them.

    Args:
        files: files of `ROUTES_FOLDER` by name.
        model: the model's name.
        own: what `render` gave for the model's routes.
    """
    kinds = {name: _FILES.fullmatch(name) for name in files}
    others = {
        name: text
        for name, text in files.items()
        if not ((kind := kinds[name]) and model in _models(kind, files))
    }
    return {**others, **own}


def models(files: Mapping[str, str]) -> set[str]:
    """Return the names of the models that have files."""
    kinds = [kind for name in files if (kind := _FILES.fullmatch(name))]
    return {model for kind in kinds for model in _models(kind, files)}


def _models(kind: re.Match[str], files: Mapping[str, str]) -> set[str]:
    if kind["model"]:
        return {kind["model"]}
    return set(_LOCATION_IN_0_1_0.findall(files.get(_LOCATIONS, "")))


def _variable(model: str, number: int) -> str:
    """Return the name of nginx's variable that holds where a route's request goes."""
    return f"backend_{model.replace('-', '_')}_{number}"


def _check(routes: Sequence[Route]) -> None:
    paths = [route.path for route in routes]
    for route in routes:
        if route.engine not in _PATHS:
            raise RouteError(
                f"{route.engine!r} is no serving engine; they are {', '.join(sorted(_PATHS))}"
            )
        for part in (route.namespace, route.name):
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


def _split(variable: str, route: Route) -> str:
    shares = [backend for backend in route.backends if backend.weight]
    lines = [f"  {each.weight}% {each.host};" for each in shares[:-1]]
    # The last takes the rest, so that no request is without a server.
    lines.append(f"  * {shares[-1].host};")
    return f"split_clients $request_id ${variable} {{\n" + "\n".join(lines) + "\n}\n"


def _location(variable: str, route: Route) -> str:
    """Return a route, and the same for a gateway that is about to end.

    nginx ends by closing the connections that clients keep, maybe just when a request comes on one.
    So they are told before to take another; whether it keeps a connection is a location's word.
    """
    rest = f"({_PATHS[route.engine]})"
    to = f"  proxy_pass http://${variable}/$1$is_args$args;\n"
    errors = _error_pages(route.engine, "  ")
    return (
        # Braces in the expression would end it.
        f'location ~ "^{route.path}/{rest}$" {{\n'
        f"  if (-f {DRAINING}) {{ rewrite ^ /draining$uri last; }}\n{errors}{to}}}\n"
        f'location ~ "^/draining{route.path}/{rest}$" {{\n'
        f"  internal;\n  keepalive_timeout 0;\n{errors}{to}}}\n"
        # What the model is not asked for.
        f"location {route.path}/ {{\n{errors}  return 404;\n}}\n"
    )
