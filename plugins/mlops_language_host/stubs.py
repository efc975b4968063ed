"""Imports Pulumi's gRPC stubs without importing the SDK.

The engine starts a language host twice per command, and `import pulumi` costs more than
everything else the host does. The generated stubs need nothing of the SDK but their folder, so its
parent packages are registered as empty modules that only know where their files are.
"""

import sys
from importlib.machinery import PathFinder
from types import ModuleType

_PARENTS = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def register_parent_packages() -> None:
    """Make `from pulumi.runtime.proto import x_pb2` work without running the SDK's `__init__`.

    Raises:
        ImportError: the SDK is not installed in this environment.
    """
    if "pulumi" in sys.modules:
        return
    for name in _PARENTS:
        parent = name.rpartition(".")[0]
        path = list(sys.modules[parent].__path__) if parent else None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError(f"{name} is not installed; run `make toolchain` in the checkout")
        package = ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules[name] = package
