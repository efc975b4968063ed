"""The `kubernetes` resource plugin: what the official one does, from package registries alone.

It speaks Pulumi's provider protocol for the unchanged `pulumi_kubernetes` SDK; docs/
kubernetes-plugin.md says what it does and what it does not.
"""

from typing import Final

VERSION: Final = "4.34.2"
"""Version of the `pulumi_kubernetes` SDK whose plugin this is."""
