"""Predicts whether a flight out of New York arrives more than 15 minutes late.

An ordinary package: it runs on a laptop as in the cluster, and knows neither Pulumi nor Kubernetes.
"""
