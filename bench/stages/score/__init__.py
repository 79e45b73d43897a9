"""Score: metrics with intervals from stored logits."""
