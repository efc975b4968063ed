"""The real SDK is imported first: otherwise the plugin would register its bare stubs for it."""

import pulumi  # noqa: F401
