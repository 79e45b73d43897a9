"""Probe: from labelled subsets and embeddings to logits of the test tracks."""
