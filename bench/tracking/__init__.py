"""The mirror of stored results into MLflow."""
