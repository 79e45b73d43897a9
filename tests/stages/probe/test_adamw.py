"""The optimiser of a stack, beside torch.optim.AdamW point by point."""

import numpy as np
import pytest
import torch

from bench.stages.probe.adamw import StackedAdamW

POINTS = [(1e-2, 0.1), (1e-2, 1.0), (1e-3, 0.0)]
SHAPES = {"output": (4, 6), "output_bias": (4, 1)}


@pytest.mark.parametrize("subsets", [1, 2])
def test_each_point_is_updated_as_by_the_optimiser_of_torch(subsets: int) -> None:
    """One subset on the CPU goes through torch's own kernel, several do not."""
    random = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(subsets, len(POINTS), *shape, generator=random)
        for name, shape in SHAPES.items()
    }
    places = [(subset, point) for subset in range(subsets) for point in range(len(POINTS))]
    references = {
        place: {name: weights[name][place].clone().requires_grad_() for name in SHAPES}
        for place in places
    }
    optimisers = {
        place: torch.optim.AdamW(
            [
                {"params": [reference["output"]], "weight_decay": POINTS[place[1]][1]},
                {"params": [reference["output_bias"]], "weight_decay": 0.0},
            ],
            lr=POINTS[place[1]][0],
        )
        for place, reference in references.items()
    }
    ours = StackedAdamW(weights, POINTS)
    kept = list(range(len(POINTS)))
    for step in range(20):
        if step == 10:  # the second point leaves
            kept = [0, 2]
            ours.keep(np.arange(subsets), np.array(kept))
        slopes = {
            name: torch.randn(subsets, len(kept), *shape, generator=random)
            for name, shape in SHAPES.items()
        }
        ours.step(slopes)
        for subset in range(subsets):
            for column, point in enumerate(kept):
                reference = references[subset, point]
                for name in SHAPES:
                    reference[name].grad = slopes[name][subset, column].clone()
                optimisers[subset, point].step()
                for name in SHAPES:
                    torch.testing.assert_close(
                        ours.weights[name][subset, column],
                        reference[name].detach(),
                        rtol=1e-5,
                        atol=1e-6,
                    )
