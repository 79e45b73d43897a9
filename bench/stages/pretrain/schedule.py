"""Learning rate and weight decay, functions of the step alone: no scheduler has to be restored."""

import math

from bench.settings.specs import TrainSpec


def learning_rate(step: int, spec: TrainSpec) -> float:
    """Computes the learning rate of a step: linear warm-up to the peak, then half a cosine.

    The cosine is that of Loshchilov and Hutter (ICLR 2017, arXiv 1608.03983); with the schedule
    "constant" the peak is held instead.
    """
    warmup_steps = round(spec.warmup * spec.steps)
    if step < warmup_steps:
        return spec.learning_rate * (step + 1) / warmup_steps
    if spec.schedule == "constant":
        return spec.learning_rate
    progress = (step - warmup_steps) / max(1, spec.steps - warmup_steps)
    return _half_cosine(spec.learning_rate, spec.final_learning_rate, progress)


def weight_decay(step: int, spec: TrainSpec) -> float:
    """Computes the weight decay of a step: constant, or half a cosine to the final one.

    The cosine is that of DINO (Caron et al., ICCV 2021, arXiv 2104.14294).
    """
    if spec.final_weight_decay is None:
        return spec.weight_decay
    return _half_cosine(spec.weight_decay, spec.final_weight_decay, step / spec.steps)


def _half_cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * progress))


def budget(train: TrainSpec, tracks: int) -> int:
    """Computes the number of optimiser steps on some tracks.

    The tracks of an epoch that are too few to fill a batch are dropped.

    Args:
        train: the number of steps, or of epochs and the batch size.
        tracks: number of training tracks.
    """
    if not train.epochs:
        return train.steps
    return max(1, round(train.epochs * max(1, tracks // train.batch_size)))
