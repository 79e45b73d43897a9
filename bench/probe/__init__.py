"""From frozen encoders to scores: embeddings, labelled subsets, probes, metrics and their bootstrap intervals."""
