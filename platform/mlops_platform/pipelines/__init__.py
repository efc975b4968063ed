"""Kubeflow Pipelines, and pipelines on it."""
