"""The contract of a method: what a file in `methods/` must define, and what it is given.

A method file holds a docstring (`bench list methods` shows its first line), those of the constants
below that differ from their defaults, a frozen class `Settings`, the loss as a free function of
tensors, and a class `Method`. It contains no training loop, optimiser, logging or device: those
belong to `bench.stages.pretrain`.

Constants, which must be literals, so that they can be read without importing the file:
    PAPER: authors, venue and arXiv id.
    COST: cost of one training step in words, compared with one encoder pass over two views.
    TRAINS: False for methods that leave the encoder as it was initialised (default True).
    USES_LABELS: True for methods that are given the labels of the labelled fraction (default
        False).
    VIEWS: number of views of each track that the method is given (default 2).
    RESTORES: True for methods that take trained weights from elsewhere: those of `--weights`, or
        those of an external encoder (default False).
    ENCODER: name of the only encoder that the method can be used with (default: any).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from bench.settings.base import Spec


class Settings(Spec):
    """Base class of a method's settings, which are frozen and typed; unknown keys are errors."""


class Loss(NamedTuple):
    """The loss of one batch.

    Attributes:
        total: scalar that is minimised, the weighted sum of the terms.
        terms: scalar terms by name, for logging. They are without their weights, so that those by
            which collapse is recognised keep their usual scale. Diagnostics that are no part of the
            total may be among them.
    """

    total: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """One batch of training data, on the device of the method.

    Attributes:
        views: encoder inputs, one tensor for each view: (batch, 1, mels, frames) log-mel
            spectrograms or (batch, samples) waveforms.
        labels: (batch, tags) multi-hot floats, or (batch,) int64 class indices; None for methods
            that do not use labels.
    """

    views: tuple[Tensor, ...]
    labels: Tensor | None = None


@dataclass(frozen=True)
class Task:
    """What a method is told about the run, besides its settings.

    Attributes:
        steps: length of the run in optimiser steps, for schedules.
        batch_size: number of tracks in a batch.
        outputs: number of tags or classes; 0 without labels.
        multi_label: True for tags (several for each track), False for classes (one for each track).
    """

    steps: int
    batch_size: int
    outputs: int = 0
    multi_label: bool = True


class Method(nn.Module):
    """Base class of every method.

    Where several processes train together, each is given its part of every batch, the gradients of
    the processes are averaged, and BatchNorm uses the statistics of the whole batch. A loss that is
    a mean over the items of a batch thus needs no change; one that compares items must collect the
    whole batch with `bench.heads.gathered`.

    Attributes:
        encoder: the backbone, (batch, ...) -> (batch, width), which is all that is kept when
            pretraining ends.
        classifier: (batch, width) -> (batch, outputs) logits, for methods that train a classifier
            together with the encoder; None for all others.
    """

    def __init__(self, encoder: nn.Module, width: int, settings: Settings, task: Task) -> None:
        """Stores the encoder; subclasses add their heads.

        Args:
            encoder: the backbone, which all methods share.
            width: output width of the encoder.
            settings: an instance of the method file's own `Settings`.
            task: what the method is told about the run.
        """
        super().__init__()
        self.encoder = encoder
        self.classifier: nn.Module | None = None
        self.width = width
        self.settings = settings
        self.task = task

    def forward(self, batch: Batch, step: int) -> Loss:
        """Computes the loss of one batch.

        Args:
            batch: the batch.
            step: number of the optimiser step, from 0.
        """
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Updates what the optimiser does not, such as slow copies and centres; by default nothing.

        Args:
            step: number of the optimiser step that has just been taken, from 0.
        """


P = ParamSpec("P")
R = TypeVar("R")


def in_float32(loss: Callable[P, R]) -> Callable[P, R]:
    """Decorates a loss so that it is computed in float32, outside autocast.

    Correlations and softmaxes lose too much precision in half precision.

    Args:
        loss: function with at least one tensor among its arguments.

    Returns:
        The same function, which is given half-precision tensors as float32.
    """
    widened: Callable[..., R] = loss  # without the signature, which the conversion would obscure

    @wraps(loss)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        with torch.autocast(tensors[0].device.type, enabled=False):
            return widened(
                *(_widened(value) for value in args),
                **{name: _widened(value) for name, value in kwargs.items()},
            )

    return wrapped


def _widened(value: object) -> object:
    """Converts half-precision tensors to float32; leaves float64 and everything else unchanged."""
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value
