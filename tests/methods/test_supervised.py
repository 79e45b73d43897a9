"""The supervised loss equals the cross-entropy, written out."""

from importlib import import_module

import pytest
import torch
from torch import Tensor

from tests.methods.losses import assert_same, projections, summed

supervised = import_module("bench.methods.supervised")


@pytest.mark.parametrize("batch", [1, 2, 17])
def test_supervised_is_the_cross_entropy(batch: int) -> None:
    (logits,) = projections(batch, 5, count=1)
    tags = (torch.arange(batch * 5).reshape(batch, 5) % 3 == 0).float()
    classes = torch.arange(batch) % 5

    def binary(logits: Tensor) -> Tensor:
        p = 1 / (1 + torch.exp(-logits))
        return -(tags * torch.log(p) + (1 - tags) * torch.log(1 - p)).sum() / (batch * 5)

    def categorical(logits: Tensor) -> Tensor:
        chosen = [
            torch.exp(row[index]) / torch.exp(row).sum()
            for row, index in zip(logits, classes, strict=True)
        ]
        return -summed(torch.log(p) for p in chosen) / batch

    assert_same(
        lambda logits: supervised.supervised_loss(logits, tags, multi_label=True).total,
        binary,
        [logits],
    )
    assert_same(
        lambda logits: supervised.supervised_loss(logits, classes, multi_label=False).total,
        categorical,
        [logits],
    )
