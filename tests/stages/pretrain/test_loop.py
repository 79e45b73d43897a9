"""The training loop: its curve, its checkpoints, and the step whose weights are kept."""

import math
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from bench.core.errors import InputError
from bench.method import Batch, Loss, Method, Settings, Task
from bench.settings.specs import TrainSpec
from bench.stages.pretrain.loop import train


class Toy(Method):
    """Pulls the encoder's output to a point, so that it collapses, or gives an infinite loss."""

    explode = False

    def forward(self, batch: Batch, step: int) -> Loss:
        embedded = self.encoder(batch.views[0])
        distance = (embedded - 1).square().mean()
        total = distance * math.inf if self.explode and step == 3 else distance
        return Loss(total, {"distance": distance})


def toy(tmp_path, steps: int = 30, explode: bool = False, validate=None, **more):
    """Trains the toy method for some steps; returns it and the history of its training."""
    torch.manual_seed(0)
    method = Toy(nn.Linear(4, 8), 8, Settings(), Task(steps, 16))
    method.explode = explode
    spec = TrainSpec(steps=steps, learning_rate=0.05, diagnose_times=3, **more)
    views = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
    history = train(
        method, lambda step: Batch((views,)), views, spec, 0, tmp_path, lambda *_: None, validate
    )
    return method, history


def test_loop_keeps_curve_and_diagnostics(tmp_path):
    _, history = toy(tmp_path)
    assert [point["step"] for point in history.curve] == list(range(1, 31))
    assert history.curve[-1]["loss"] < history.curve[0]["loss"]
    assert set(history.curve[0]) == {"step", "loss", "distance"}
    assert [point["step"] for point in history.diagnostics] == [10, 20, 30]


def test_the_best_step_on_the_valid_split_is_kept(tmp_path):
    scores = iter([0.2, 0.9, 0.1])
    kept = []

    def validate(method: nn.Module) -> float:
        kept.append({name: value.clone() for name, value in method.state_dict().items()})
        return next(scores)

    method, history = toy(tmp_path, validate=validate)
    assert history.best == {"step": 20, "valid_map": 0.9}
    for name, value in method.state_dict().items():
        assert torch.equal(value, kept[1][name])
    assert not torch.equal(kept[1]["encoder.weight"], kept[2]["encoder.weight"])


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path):
    with pytest.raises(InputError, match=r"not finite at step 4.*train\.learning_rate"):
        toy(tmp_path, explode=True)


def test_gradients_are_clipped(tmp_path, monkeypatch):
    """AdamW divides by the size of gradients, so its weights do not show whether the clip works."""
    seen = []
    original = torch.nn.utils.clip_grad_norm_

    def spy(parameters: Iterable[Tensor], limit: float) -> Tensor:
        parameters = list(parameters)
        norm = original(parameters, limit)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        assert len(gradients) == len(parameters)
        left = torch.stack([gradient.norm() for gradient in gradients]).norm()
        seen.append((float(norm), float(left)))
        return norm

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
    toy(tmp_path, steps=3, clip_norm=0.01)
    assert all(before > 0.01 >= after - 1e-6 for before, after in seen)


def test_a_resumed_run_keeps_the_points_of_the_curve(tmp_path, monkeypatch):
    """The checkpoint lies between two points of the curve, whose sums must come back, too."""
    monkeypatch.setattr("bench.stages.pretrain.loop._CURVE_POINTS", 3)
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    _, whole = toy(tmp_path / "whole", checkpoint_seconds=1e-9)

    def killed_at_the_first_look(method: nn.Module) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy(tmp_path / "killed", checkpoint_seconds=1e-9, validate=killed_at_the_first_look)
    state = torch.load(tmp_path / "killed/state.pt", weights_only=True)
    assert state["step"] == 9
    assert state["pending"]["count"] == 9
    _, resumed = toy(tmp_path / "killed", checkpoint_seconds=1e-9)
    assert resumed.curve == whole.curve
    assert len(whole.curve) == 3
