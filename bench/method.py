"""The contract of a method: what a file in `methods/` gives, and what it gets.

A method file holds a docstring (its first line is what `bench list methods` shows), the literal
constants below where they differ from the defaults, a frozen `Settings`, its loss as a free
function of tensors, and a class `Method`. It has no loop, no optimiser, no logging and no device in
it: those belong to `bench.stages.pretrain`.

Constants (literals, so that they are read without importing the file):
    PAPER: authors, venue, arXiv id.
    COST: the cost of one step beside one encoder pass over two views.
    TRAINS: False for methods that leave the encoder as it was initialised (default True).
    USES_LABELS: True for methods that are given the labels of the labelled fraction (default
    False). VIEWS: how many views of a track the method is given (default 2).
    RESTORES: True for methods that stand for weights from elsewhere: --weights, or those of an
    external encoder. ENCODER: the name of the one encoder that the method stands for (default:
    any).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from bench.settings.base import Spec


class Settings(Spec):
    """Base of a method's settings: frozen, typed, unknown keys are errors."""


class Loss(NamedTuple):
    """What a method returns for one batch.

    Attributes:
        total: scalar that is minimised, the weighted sum of the terms.
        terms: each term by its name, scalar, without its weight, so that signs of collapse keep
            their usual scale.
    """

    total: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """One batch on its device.

    Attributes:
        views: encoder inputs, one tensor a view: (batch, 1, mels, frames) log-mels or (batch,
            samples) waveforms.
        labels: (batch, tags) float multi-hot, or (batch,) int64 class indices; None for methods
            without labels.
    """

    views: tuple[Tensor, ...]
    labels: Tensor | None = None


@dataclass(frozen=True)
class Task:
    """What a method may know of the run beside its settings.

    Attributes:
        steps: length of the run in optimiser steps, for schedules.
        batch_size: tracks a batch.
        outputs: number of tags or classes; 0 without labels.
        multi_label: True for tags (several a track), False for classes (one a track).
    """

    steps: int
    batch_size: int
    outputs: int = 0
    multi_label: bool = True


class Method(nn.Module):
    """Base of every method.

    Where several processes train together, each is given its part of every batch, their gradients
    are averaged, and BatchNorm sees the whole batch. So a loss that is a mean over items needs
    nothing; one that compares items takes the whole batch from `bench.heads.gathered`.

    Attributes:
        encoder: (batch, ...) -> (batch, width); it is what is kept when pretraining ends.
        classifier: (batch, width) -> (batch, outputs) logits, for methods that learn one end to
            end; else None.
    """

    def __init__(self, encoder: nn.Module, width: int, settings: Settings, task: Task) -> None:
        """Wires the heads.

        Args:
            encoder: the shared backbone.
            width: its output width.
            settings: an instance of the method file's own `Settings`.
            task: what may be known of the run.
        """
        super().__init__()
        self.encoder = encoder
        self.classifier: nn.Module | None = None
        self.width = width
        self.settings = settings
        self.task = task

    def forward(self, batch: Batch, step: int) -> Loss:
        """The loss of one batch at optimiser step `step` (from 0)."""
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """What happens after the optimiser's step: slow copies, centres. Nothing by default."""


P = ParamSpec("P")
R = TypeVar("R")


def in_float32(loss: Callable[P, R]) -> Callable[P, R]:
    """Runs a loss in float32 outside autocast: correlations and softmaxes lose too much in half precision."""

    @wraps(loss)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        with torch.autocast(tensors[0].device.type, enabled=False):
            return loss(
                *map(_widened, args), **{name: _widened(value) for name, value in kwargs.items()}
            )  # type: ignore[arg-type]

    return wrapped


def _widened(value: object) -> object:
    """Half-precision tensors as float32, everything else as it is (float64 too, for checks of gradients)."""
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value
