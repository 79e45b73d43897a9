"""The layers of the probe and their gradients, beside those of PyTorch."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.core.randomness import generator, seed_for
from bench.settings.specs import ProbeSpec
from bench.stages.probe.valid_map import ValidMap
from tests.stages.probe.problems import MLP, SMALL, Split, problem, with_

pytestmark = pytest.mark.usefixtures("one_thread")


class Reference:
    """A probe in torch.nn, trained by torch.optim, with our starting weights, batches and masks."""

    def __init__(self, data: Split, spec: ProbeSpec, seed: int, rate: float, decay: float) -> None:
        self.data, self.spec, self.seed = data, spec, seed
        targets = torch.from_numpy(data.targets[data.train])
        self.targets = targets.float() if data.kind == "tags" else targets
        hot = self.targets if data.kind == "tags" else functional.one_hot(targets).float()
        self.output = nn.Linear(data.embeddings.tracks.shape[1], hot.shape[1])
        share = (hot.sum(0) + 0.5) / (len(hot) + 1)
        self.hidden: nn.Module = nn.Identity()
        if spec.kind == "mlp":
            width = self.output.in_features
            first = nn.Linear(width, spec.hidden, bias=not spec.batch_norm)
            random = torch.Generator().manual_seed(seed_for(seed, "probe/weights"))
            drawn = torch.empty(spec.hidden, width + 1).uniform_(
                -(width**-0.5), width**-0.5, generator=random
            )
            first.weight.data.copy_(drawn[:, :-1])
            if not spec.batch_norm:
                first.bias.data.copy_(drawn[:, -1])
            self.hidden = nn.Sequential(
                first, *[nn.BatchNorm1d(spec.hidden)] * spec.batch_norm, nn.ReLU()
            )
            self.output = nn.Linear(spec.hidden, hot.shape[1])
        nn.init.zeros_(self.output.weight)
        self.output.bias.data.copy_(torch.logit(share) if data.kind == "tags" else share.log())
        values = [*self.hidden.parameters(), *self.output.parameters()]
        groups: list[dict[str, Any]] = [{"params": [value for value in values if value.ndim == 2]}]
        groups += [{"params": [value for value in values if value.ndim == 1], "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=decay)
        self.step = 0

    def train(self, steps: int) -> None:
        """Trains for some more steps."""
        inputs = self.data.standardised(self.data.train)
        waiting = [
            generator(self.seed, "probe/batches", epoch).permutation(len(inputs))
            for epoch in range(1 + (self.step + steps) * self.spec.batch_size // len(inputs))
        ]
        order, size = np.concatenate(waiting), min(self.spec.batch_size, len(inputs))
        self.hidden.train()
        for _ in range(steps):
            batch = torch.from_numpy(order[self.step * size : (self.step + 1) * size])
            self.step += 1
            active = self.hidden(inputs[batch])
            if self.spec.kind == "mlp" and self.spec.dropout:
                shape = (1, self.spec.hidden, size)
                random = generator(self.seed, "probe/dropout", self.step)
                drawn = torch.from_numpy(random.random(shape, dtype=np.float32)[0].T)
                active = active * (drawn >= self.spec.dropout) / (1 - self.spec.dropout)
            logits, targets = self.output(active), self.targets[batch]
            if self.data.kind == "tags":
                loss = functional.binary_cross_entropy_with_logits(logits, targets)
            else:
                loss = functional.cross_entropy(logits, targets)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()

    @torch.no_grad()
    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits of some tracks, in evaluation mode."""
        self.hidden.eval()
        result: np.ndarray = self.output(self.hidden(self.data.standardised(rows))).numpy()
        return result


@pytest.mark.parametrize("target", ["tags", "classes"])
@pytest.mark.parametrize(
    "spec",
    [SMALL, MLP, with_(MLP, batch_norm=False), with_(MLP, dropout=0.4)],
    ids=["linear", "mlp", "plain", "dropout"],
)
def test_each_grid_point_is_a_probe_of_torch(spec: ProbeSpec, target: str) -> None:
    """The same scores at every look as torch.nn and torch.optim.AdamW give, and logits to 1e-4."""
    data = problem(150)
    if target == "classes":
        data = Split(
            data.embeddings, data.targets @ np.arange(1, 6) % 3, data.train, data.valid, data.test
        )
    whole, judge = data.fit(spec), ValidMap(data.hot[data.valid], data.kind)
    grid = [(rate, decay) for rate in spec.learning_rates for decay in spec.weight_decays]
    assert [(row["learning_rate"], row["weight_decay"]) for row in whole.sweep] == grid
    for point, (rate, decay) in enumerate(grid):
        reference = Reference(data, spec, 0, rate, decay)
        curve = []
        for _ in whole.steps:
            reference.train(spec.evaluate_every)
            curve.append(float(judge(torch.from_numpy(reference.logits(data.valid).T.copy()))))
        np.testing.assert_allclose(whole.curve[:, point], curve, atol=2e-3)
        # With a single look the last step is the chosen one.
        alone = data.fit(
            with_(spec, learning_rates=(rate,), weight_decays=(decay,), evaluate_every=spec.steps)
        )
        np.testing.assert_allclose(
            alone.logits["mean_embedding"], reference.logits(data.test), atol=1e-4, rtol=1e-4
        )
    # The points are not all the same.
    assert len({tuple(column) for column in whole.curve.T.round(6)}) > 1
