"""What every server of the flight-delay model shares: its schema, its loading, its record.

An ordinary package, without Kubernetes: a serving engine's wrapper is a few lines over it.
"""
