"""MLflow, and what others ask it."""
