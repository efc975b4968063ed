"""Data that workloads bring, and how their Pods find the store."""
