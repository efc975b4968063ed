"""What every server of a model shares: its schema, its loading, its answers, and their record.

An ordinary package, without Kubernetes: a serving engine's wrapper is a few lines over it.
"""
