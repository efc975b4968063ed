"""Layer 1 on AWS: network, EKS, buckets, identities, registries, database and budget."""
