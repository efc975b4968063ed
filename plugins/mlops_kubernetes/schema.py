"""The package schema: what the plugin can honestly say of itself.

The full schema of some 700 resource types belongs to the SDK and is used to generate it; the engine
runs programs without it. Tools that generate code from a schema (`pulumi import` without
`--generate-code=false`, `pulumi convert`) need the official plugin.
"""

import json

from mlops_kubernetes import VERSION, settings


def document() -> str:
    """Return the schema as JSON text."""
    texts = {name: {"type": "string"} for name in settings.TEXTS}
    flags = {name: {"type": "boolean"} for name in settings.FLAGS}
    return json.dumps(
        {
            "name": "kubernetes",
            "version": VERSION,
            "description": "Kubernetes objects by server-side apply",
            "license": "Apache-2.0",
            "provider": {"inputProperties": {**texts, **flags}},
        }
    )
