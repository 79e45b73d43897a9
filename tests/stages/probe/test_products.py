"""Matrix products, whichever kernel makes them."""

import pytest
import torch

from bench.stages.probe.products import product

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("shape", [(3, 20, 30, 40), (1, 200, 300, 120), (2, 200, 300, 120)])
def test_products(shape: tuple[int, int, int, int]) -> None:
    stack, rows, columns, inner = shape
    left, right = torch.randn(stack, rows, inner), torch.randn(stack, inner, columns)
    expected = left.double() @ right.double()
    torch.testing.assert_close(
        product(left, right.transpose(1, 2)).double(), expected, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        product(left, right.mT.contiguous()).double(), expected, atol=1e-4, rtol=1e-4
    )
