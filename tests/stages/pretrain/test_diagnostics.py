"""The signs of collapse of embeddings whose spread and rank are known."""

import pytest
import torch

from bench.stages.pretrain.diagnostics import collapse_warning, effective_rank, embedding_deviation


def test_deviation_and_rank_of_known_embeddings():
    spread = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0))
    assert embedding_deviation(spread) == pytest.approx(1, abs=0.02)
    assert effective_rank(spread) == pytest.approx(16, abs=0.1)
    line = torch.randn(100, 1) @ torch.randn(1, 16)
    assert effective_rank(line) == pytest.approx(1, abs=1e-3)
    two = torch.eye(2).repeat(50, 1)
    assert effective_rank(two) == pytest.approx(1)  # two points lie on a line
    point = torch.ones(100, 16) + 1e-4 * torch.randn(100, 16)
    assert embedding_deviation(point) < 1e-3
    assert collapse_warning(embedding_deviation(point), effective_rank(point)) is not None
    assert "line" in str(collapse_warning(1.0, effective_rank(line)))
    assert collapse_warning(embedding_deviation(spread), effective_rank(spread)) is None
