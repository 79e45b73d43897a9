"""Comparison of a loss with a slow reference, in value and gradients."""

from collections.abc import Callable, Iterable
from functools import reduce
from itertools import product
from operator import add
from typing import Any

import torch
from torch import Tensor

from bench.method import Loss

SHAPES = list(product((2, 3, 17), (2, 5, 32)))
LOSS: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}
# Gradients pass through a division by a batch's standard deviation, which may be small for two
# tracks.
GRADIENT: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


def projections(batch: int, dim: int, *, count: int = 2, seed: int = 0) -> list[Tensor]:
    """`count` related tensors (batch, dim) in float32 that require gradients."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(batch, dim, generator=generator)
    return [
        (common + torch.randn(batch, dim, generator=generator)).requires_grad_()
        for _ in range(count)
    ]


def assert_same(
    ours: Callable[..., Tensor], reference: Callable[..., Tensor], inputs: list[Tensor]
) -> None:
    """Asserts that value and gradients agree, ours in float32 and the reference in float64."""
    wide = [value.detach().double().requires_grad_() for value in inputs]
    value, expected = ours(*inputs), reference(*wide)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), expected, **LOSS)
    gradients = torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True)
    wanted = torch.autograd.grad(expected, wide, allow_unused=True, materialize_grads=True)
    scale = max(1.0, max(gradient.abs().max().item() for gradient in wanted))
    for gradient, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient.double() / scale, want / scale, **GRADIENT)


def total(loss: Callable[..., Loss], **options: object) -> Callable[..., Tensor]:
    """The loss as a function that returns its total alone."""
    return lambda *tensors: loss(*tensors, **options).total


def summed(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one or more tensors."""
    return reduce(add, terms)
