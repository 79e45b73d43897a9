"""The learning rate as a function of the step alone, so that a restart needs no state of a scheduler."""

import math

from bench.config import TrainSpec


def learning_rate(step: int, spec: TrainSpec) -> float:
    """Linear warm-up to the peak, then half a cosine to zero (Loshchilov and Hutter, ICLR 2017, arXiv 1608.03983)."""
    warmup_steps = round(spec.warmup * spec.steps)
    if step < warmup_steps:
        return spec.learning_rate * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, spec.steps - warmup_steps)
    return spec.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
