"""Pulumi's language host for Python, in Python, speaking the protocol of the pinned engine."""
