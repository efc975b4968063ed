"""Models that outlive a stack: MLflow's database and the buckets, out to a folder and in again."""
