"""Engines that serve models, the gateway before them, and what serves."""
