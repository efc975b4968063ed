"""Layer 2, what runs for every team: experiment tracking and the model registry."""
