"""Layer 1, what a cloud bill lists: the cluster, object storage, buckets and credentials."""
