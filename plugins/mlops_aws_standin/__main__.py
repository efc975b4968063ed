"""Entry point: `pulumi-resource-aws [flags] [engine address]`."""

import asyncio
import sys

from mlops_aws_standin.servicer import Provider
from mlops_kubernetes.serving import serve

if __name__ == "__main__":
    # Flags (--logflow, --tracing …) repeat what the handshake carries.
    address = next((a for a in reversed(sys.argv[1:]) if not a.startswith("-")), "")
    asyncio.run(serve(Provider(), address))
