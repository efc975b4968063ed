"""Downloads a model: the entry point of KServe's storage initializer, for its library from PyPI."""

import sys

from kserve_storage import Storage

_ARGUMENTS = 3


def main() -> None:
    """Download the model that the first argument names to the folder that the second names."""
    if len(sys.argv) != _ARGUMENTS:
        sys.exit("usage: initialize.py URI FOLDER")
    uri, folder = sys.argv[1:]
    try:
        Storage.download(uri, folder)
    except Exception as error:
        # The container's last lines become the Pod's message, which people read.
        sys.exit(f"the model {uri} cannot be downloaded: {error}")


if __name__ == "__main__":
    main()
