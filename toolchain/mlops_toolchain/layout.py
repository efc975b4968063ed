"""Where the toolchain keeps things: the cache of results, and this checkout's view of it."""

import os
from pathlib import Path


def checkout() -> Path:
    """Return the root of this checkout."""
    return Path(__file__).resolve().parents[2]


def cache() -> Path:
    """Return the cache that checkouts share: $MLOPS_CACHE, or the user's cache folder."""
    chosen = os.environ.get("MLOPS_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base, "mlops-platform")


def view() -> Path:
    """Return the checkout's view: links to the results that its pins name."""
    return checkout() / ".toolchain"


def bin_dir() -> Path:
    """Return the folder of executables, for PATH."""
    return view() / "bin"


def cni_dir() -> Path:
    """Return the folder of CNI plugins."""
    return view() / "cni"


def image_archive(name: str) -> Path:
    """Return the OCI archive of an image."""
    return view() / "images" / f"{name}.tar"


def dataset_dir() -> Path:
    """Return the folder of Parquet files."""
    return view() / "datasets"


def manifests_dir() -> Path:
    """Return the folder of upstream's rendered manifests."""
    return view() / "manifests"


def pulumi_home() -> Path:
    """Return PULUMI_HOME of this checkout, which holds its plugins."""
    return checkout() / ".state" / "home"
