"""The mirror of stored results and sweeps into MLflow."""
