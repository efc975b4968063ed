"""Entry point: `pulumi-resource-kubernetes [flags] [engine address]`."""

import asyncio
import sys

from mlops_kubernetes.servicer import Provider
from mlops_kubernetes.serving import serve


async def main(address: str) -> None:
    """Serve the provider, which must be made in the loop that its channels live in."""
    await serve(Provider(address), address)


if __name__ == "__main__":
    # Flags (--logflow, --tracing …) repeat what the handshake carries.
    asyncio.run(main(next((a for a in reversed(sys.argv[1:]) if not a.startswith("-")), "")))
