"""Pretraining: the loop, its schedule, checkpoints, and the signs of collapse."""
