# Sourced: `. ./env.sh` gives this shell the pinned tools and this checkout's Pulumi state.
# Needs `make toolchain` first. Works in any POSIX shell whose current folder is the checkout.
if [ -x ./.venv/bin/python ] && [ -f ./Pulumi.yaml ]; then
  eval "$(./.venv/bin/python -m mlops_stack env)"
else
  echo "env.sh: go to the checkout and run 'make toolchain' first" >&2
fi
