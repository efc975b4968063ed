#!/bin/sh
# Brings a Debian machine to where the project's Python can run: an interpreter, uv, the locked
# environment. Everything after this is Python. Silent when nothing is to be done.
set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cache=${MLOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mlops-platform}
uv_version=0.13.9
uv_sha256=d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19
stamp=$root/.venv/.locked

say() { echo "[bootstrap] $*"; }
fail() { echo "✗ bootstrap: $*" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || fail "needs Linux, this is $(uname -s)"

install_packages() {
  command -v apt-get >/dev/null || fail "$* missing, and this machine has no apt-get: Debian and its derivatives are supported"
  [ "$(id -u)" = 0 ] || fail "$* must be installed: run this as root"
  say "installing Debian packages: $*"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  if ! { apt-get -qq update && apt-get -qq install --yes --no-install-recommends "$@"; } >"$log" 2>&1; then
    tail -n 10 "$log" >&2
    rm -f "$log"
    fail "apt-get failed: check the network and apt's sources, then run the same command again"
  fi
  rm -f "$log"
}

usable() {
  command -v "$1" >/dev/null 2>&1 &&
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

python=
for candidate in python3 python3.11 python3.12 python3.13 /usr/bin/python3; do
  if usable "$candidate"; then python=$(command -v "$candidate"); break; fi
done
if [ -z "$python" ]; then
  install_packages python3 python3-venv ca-certificates
  python=/usr/bin/python3
  usable "$python" || fail "python3 of this release is not 3.11, 3.12 or 3.13; install one of these"
fi

uv=$cache/uv/$uv_version/bin/uv
if [ ! -x "$uv" ]; then
  "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv ca-certificates
  say "installing uv $uv_version"
  work=$cache/uv/.building-$$
  trap 'rm -rf "$work"' EXIT INT TERM
  "$python" -m venv "$work" || fail "cannot make a Python environment in $cache"
  echo "uv==$uv_version --hash=sha256:$uv_sha256" >"$work/requirements.txt"
  "$work/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: --requirement "$work/requirements.txt" ||
    fail "uv cannot be installed from PyPI: check the network or pip's index settings"
  mkdir -p "$cache/uv/$uv_version/bin"
  mv "$work/bin/uv" "$uv.new" && mv "$uv.new" "$uv"
  rm -rf "$work"
  trap - EXIT INT TERM
fi

# The lock, the project's file and the interpreter decide the environment.
wanted=$(cat "$root/uv.lock" "$root/pyproject.toml" | sha256sum | cut -c1-16)-$python
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ] || [ ! -x "$root/.venv/bin/python" ]; then
  say "making the Python environment (uv sync --locked)"
  UV_PYTHON_DOWNLOADS=never "$uv" sync --quiet --locked --compile-bytecode --directory "$root" \
    --python "$python" || fail "uv could not make the environment; its words are above"
  echo "$wanted" >"$stamp"
fi
