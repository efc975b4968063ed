"""Entry point: `pulumi-language-python [flags] [engine address]`."""

import asyncio
import sys

from mlops_language_host.host import serve

if __name__ == "__main__":
    # Flags (--root, --tracing …) repeat what the handshake and each request carry.
    asyncio.run(serve(next((a for a in reversed(sys.argv[1:]) if not a.startswith("-")), "")))
