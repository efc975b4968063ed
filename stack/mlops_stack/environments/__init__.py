"""Environments that end by themselves.

What makes a stack an environment are tags in Pulumi's backend (docs/decisions/0008), so that every
checkout with the same backend sees the same environments.
"""
