# Sourced: `. ./env.sh` gives this shell the pinned tools, the project's Python with its commands, uv,
# this checkout's Pulumi state, and stack dev, if there is one. `STACK=name . ./env.sh` selects another.
# Needs `make toolchain` first. Works in any POSIX shell whose current folder is the checkout.
if [ -x ./.venv/bin/python ] && [ -f ./Pulumi.yaml ]; then
  eval "$(./.venv/bin/python -m mlops_stack env)"
  pulumi stack select "${STACK:-dev}" >/dev/null 2>&1 || true
else
  echo "env.sh: go to the checkout and run 'make toolchain' first" >&2
fi
