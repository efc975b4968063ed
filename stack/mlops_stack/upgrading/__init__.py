"""`make upgrade`: a stack's own cluster gets another version of Kubernetes, with its data."""
