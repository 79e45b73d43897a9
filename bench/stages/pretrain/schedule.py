"""The learning rate as a function of the step alone, so that a restart needs no state of a scheduler."""

import math

from bench.settings.specs import TrainSpec


def learning_rate(step: int, spec: TrainSpec) -> float:
    """Linear warm-up to the peak, then half a cosine (Loshchilov and Hutter, ICLR 2017, arXiv 1608.03983)."""
    warmup_steps = round(spec.warmup * spec.steps)
    if step < warmup_steps:
        return spec.learning_rate * (step + 1) / warmup_steps
    if spec.schedule == "constant":
        return spec.learning_rate
    progress = (step - warmup_steps) / max(1, spec.steps - warmup_steps)
    return _half_cosine(spec.learning_rate, spec.final_learning_rate, progress)


def weight_decay(step: int, spec: TrainSpec) -> float:
    """Constant, or half a cosine from the first to the final one (DINO.

    Caron et al., ICCV 2021, arXiv 2104.14294).
    """
    if spec.final_weight_decay is None:
        return spec.weight_decay
    return _half_cosine(spec.weight_decay, spec.final_weight_decay, step / spec.steps)


def _half_cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * progress))


def budget(train: TrainSpec, tracks: int) -> int:
    """Optimiser steps on `tracks` tracks.

    What is left of an epoch that fills no batch is dropped.
    """
    if not train.epochs:
        return train.steps
    return max(1, round(train.epochs * max(1, tracks // train.batch_size)))
