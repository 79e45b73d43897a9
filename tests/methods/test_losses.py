"""Properties that all losses of two projections share, and values that are known beforehand."""

import math
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.models.modules.heads import DINOProjectionHead
from torch import Tensor

from bench import heads
from bench.method import Loss
from tests.methods.losses import projections

# Methods are loaded by name, as the harness does.
simclr, byol, barlow_twins, vicreg, clustering, supervised = (
    import_module(f"bench.methods.{name}")
    for name in ("simclr", "byol", "barlow_twins", "vicreg", "clustering", "supervised")
)
PAIRS: dict[str, Callable[[Tensor, Tensor], Loss]] = {
    "simclr": lambda first, second: simclr.simclr_loss(first, second, temperature=0.1),
    "byol": lambda first, second: byol.byol_loss(first, second, first, second),
    "barlow_twins": lambda first, second: barlow_twins.barlow_twins_loss(
        first, second, redundancy_weight=5.1e-3
    ),
    "vicreg": lambda first, second: vicreg.vicreg_loss(first, second, settings=vicreg.Settings()),
    "clustering": lambda first, second: clustering.clustering_loss(
        torch.stack([first, second]),
        torch.stack([first, second]),
        torch.zeros(1, 1, first.shape[1]),
        student_temperature=0.1,
        teacher_temperature=0.04,
    ),
}
pairs = pytest.mark.parametrize("loss", PAIRS.values(), ids=PAIRS.keys())
shapes = given(batch=st.integers(2, 20), dim=st.integers(2, 40), seed=st.integers(0, 2**32 - 1))
quickly = settings(max_examples=20, deadline=None, derandomize=True)


@pairs
@quickly
@shapes
def test_views_may_change_places(
    loss: Callable[[Tensor, Tensor], Loss], batch: int, dim: int, seed: int
) -> None:
    first, second = (value.detach().double() for value in projections(batch, dim, seed=seed))
    torch.testing.assert_close(loss(first, second).total, loss(second, first).total)


@pairs
@quickly
@shapes
def test_order_of_tracks_does_not_matter(
    loss: Callable[[Tensor, Tensor], Loss], batch: int, dim: int, seed: int
) -> None:
    first, second = (value.detach().double() for value in projections(batch, dim, seed=seed))
    order = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(loss(first, second).total, loss(first[order], second[order]).total)
    if batch > 2 and not torch.equal(
        order, torch.arange(batch)
    ):  # but which view belongs to which track does
        assert not torch.allclose(loss(first, second).total, loss(first, second[order]).total)


@pairs
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_a_float32_loss(
    loss: Callable[[Tensor, Tensor], Loss], dtype: torch.dtype
) -> None:
    # 300 squared overflows float16, and a correlation of 64 tracks would be rounded to 3 digits in
    # bfloat16.
    first, second = (value.detach() * 100 for value in projections(64, 32))
    narrow = [value.to(dtype).requires_grad_() for value in (first, second)]
    with torch.autocast("cpu", dtype=dtype):
        result = loss(*narrow)
        wide = loss(*(value.detach().float() for value in narrow))
    for value in (result.total, *result.terms.values()):
        assert value.dtype == torch.float32
        assert value.shape == ()
        assert value.isfinite()
    assert torch.equal(result.total, wide.total)
    # Nothing inside ran in half precision: the same numbers without autocast.
    assert torch.equal(result.total, loss(*(value.detach().float() for value in narrow)).total)
    if dtype == torch.bfloat16:  # float16's gradients would need a loss scaler
        result.total.backward()
        assert all(value.grad is not None and value.grad.isfinite().all() for value in narrow)


def test_identical_views_have_the_known_loss() -> None:
    # 32 orthogonal directions, each seen with both signs: mean 0, covariance a multiple of the
    # identity.
    z = torch.cat([torch.eye(32), -torch.eye(32)]) * 8
    assert PAIRS["byol"](z, z).total == pytest.approx(0, abs=1e-5)
    assert PAIRS["barlow_twins"](z, z).total == pytest.approx(0, abs=1e-3)
    assert all(term == pytest.approx(0, abs=1e-5) for term in PAIRS["vicreg"](z, z).terms.values())
    # Of the 127 other views, the partner lies at cosine 1, 124 at cosine 0 and the 2 of opposite
    # sign at -1.
    known = math.log(1 + 124 * math.exp(-10) + 2 * math.exp(-20))
    assert PAIRS["simclr"](z, z).total == pytest.approx(known, abs=1e-5)


def test_signs_of_collapse_have_their_known_values() -> None:
    """Every track at the same point: the values that the docstrings name."""
    point = torch.ones(64, 128)
    assert PAIRS["simclr"](point, point).total == pytest.approx(math.log(2 * 64 - 1), abs=1e-5)
    assert PAIRS["byol"](point, point).terms["alignment"] == pytest.approx(1)
    assert PAIRS["barlow_twins"](point, point).terms["invariance"] == pytest.approx(128)
    assert PAIRS["vicreg"](point, point).terms["variance"] == pytest.approx(1 - 1e-2)
    uniform = PAIRS["clustering"](point, point).terms
    for name in ("cross_entropy", "teacher_entropy", "usage_entropy"):
        assert uniform[name] == pytest.approx(math.log(128), abs=1e-4), name
    peaked = PAIRS["clustering"](point * torch.eye(128)[0] * 9, point * torch.eye(128)[0] * 9).terms
    assert all(value == pytest.approx(0, abs=1e-4) for value in peaked.values())


def test_clustering_terms_add_up() -> None:
    terms = PAIRS["clustering"](*projections(17, 32)).terms
    torch.testing.assert_close(terms["cross_entropy"], terms["teacher_entropy"] + terms["kl"])
    assert terms["kl"] > 0
    assert terms["usage_entropy"] >= terms["teacher_entropy"]  # entropy is concave


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
def test_prototype_head_is_lightlys_dino_head() -> None:
    torch.manual_seed(0)
    ours: Any = heads.PrototypeHead(12, hidden=16, bottleneck=6, prototypes=20)
    theirs = DINOProjectionHead(input_dim=12, hidden_dim=16, bottleneck_dim=6, output_dim=20)
    theirs.layers.load_state_dict(ours.layers[0].layers.state_dict())
    theirs.last_layer.weight_v.data.copy_(ours.prototypes.data)
    embedding = torch.randn(9, 12)
    torch.testing.assert_close(ours(embedding), theirs(embedding))
    ours(embedding).square().sum().backward()
    theirs(embedding).square().sum().backward()
    torch.testing.assert_close(ours.prototypes.grad, theirs.last_layer.weight_v.grad)
    first = ours.layers[0].layers[0].weight.grad
    torch.testing.assert_close(first, theirs.layers[0].weight.grad)


def modules() -> list[ModuleType]:
    """Every method with a loss."""
    return [simclr, byol, barlow_twins, vicreg, clustering, supervised]


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_losses_are_decorated(module: ModuleType) -> None:
    loss = getattr(module, f"{module.__name__.rpartition('.')[2]}_loss")
    assert hasattr(loss, "__wrapped__"), "decorate the loss with bench.method.in_float32"
