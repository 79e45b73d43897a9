"""Each loss against a slow reference written from its paper in float64, and against lightly's own loss."""

import math
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import product
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import BarlowTwinsLoss, DINOLoss, NTXentLoss, VICRegLoss
from lightly.models.modules.heads import DINOProjectionHead
from torch import Tensor
from torch.nn import functional

from bench import heads
from bench.method import Loss

# Methods are loaded by name, as the harness does.
simclr, byol, barlow_twins, vicreg, clustering, supervised = (
    import_module(f"bench.methods.{name}")
    for name in ("simclr", "byol", "barlow_twins", "vicreg", "clustering", "supervised")
)

SHAPES = list(product((2, 3, 17), (2, 5, 32)))
LOSS = {"rtol": 1e-5, "atol": 1e-5}
# Gradients pass through a division by a batch's standard deviation, which for two tracks may be
# small.
GRADIENT = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """On tensors this small, threads only wait for each other, for seconds where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


# References: loops over rows and columns, one line a formula of the paper.


def nt_xent_reference(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """SimCLR, algorithm 1: views 2k - 1 and 2k are a pair."""
    z = [row / row.norm() for pair in zip(first, second, strict=True) for row in pair]
    s = [[z_i @ z_j for z_j in z] for z_i in z]
    n = len(z)

    def ell(i: int, j: int) -> Tensor:
        denominator = sum(torch.exp(s[i][k] / temperature) for k in range(n) if k != i)
        return -torch.log(torch.exp(s[i][j] / temperature) / denominator)

    return sum(ell(2 * k, 2 * k + 1) + ell(2 * k + 1, 2 * k) for k in range(n // 2)) / n


def byol_reference(q_first: Tensor, q_second: Tensor, z_first: Tensor, z_second: Tensor) -> Tensor:
    """BYOL, equation 2 and its mirror image; targets are constants."""
    result = q_first.new_zeros(())
    for q, z in ((q_first, z_second.detach()), (q_second, z_first.detach())):
        for q_row, z_row in zip(q, z, strict=True):
            result = result + (q_row / q_row.norm() - z_row / z_row.norm()).square().sum() / len(q)
    return result


def barlow_twins_reference(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Barlow Twins, equations 1 and 2, with the authors' epsilon of 1e-5 in the variance."""
    (n, d), result = first.shape, first.new_zeros(())

    def column(z: Tensor, i: int) -> Tensor:
        centred = z[:, i] - z[:, i].mean()
        return centred / torch.sqrt(centred.square().mean() + 1e-5)

    for i in range(d):
        for j in range(d):
            c = (column(first, i) * column(second, j)).sum() / n
            result = result + ((1 - c) ** 2 if i == j else weight * c**2)
    return result


def vicreg_reference(
    first: Tensor, second: Tensor, weights: tuple[float, float, float], epsilon: float
) -> Tensor:
    """VICReg, equations 1 to 6, with the halves of the authors' code."""
    n, d = first.shape
    invariance = sum((a - b).square().sum() for a, b in zip(first, second, strict=True)) / (n * d)
    variance = covariance = first.new_zeros(())
    for z in (first, second):
        for j in range(d):
            s = torch.sqrt(((z[:, j] - z[:, j].mean()) ** 2).sum() / (n - 1) + epsilon)
            variance = variance + torch.clamp(1 - s, min=0) / d / 2
        c = sum(torch.outer(row - z.mean(0), row - z.mean(0)) for row in z) / (n - 1)
        covariance = (
            covariance + sum(c[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d
        )
    return weights[0] * invariance + weights[1] * variance + weights[2] * covariance


def clustering_reference(
    students: Tensor, teachers: Tensor, centre: Tensor, tau_s: float, tau_t: float
) -> Tensor:
    """DINO, equations 1 and 3, over the pairs of different views."""
    result, pairs = students.new_zeros(()), 0
    for t, s in product(range(len(teachers)), range(len(students))):
        if t == s:
            continue
        pairs += 1
        for teacher, student in zip(teachers[t].detach(), students[s], strict=True):
            p_t = torch.exp((teacher - centre.flatten()) / tau_t)
            p_s = torch.exp(student / tau_s)
            result = (
                result - (p_t / p_t.sum() * torch.log(p_s / p_s.sum())).sum() / students.shape[1]
            )
    return result / pairs


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_simclr_is_the_papers_and_lightlys(batch: int, dim: int, temperature: float) -> None:
    inputs = projections(batch, dim)
    ours = total(simclr.simclr_loss, temperature=temperature)
    assert_same(ours, lambda first, second: nt_xent_reference(first, second, temperature), inputs)
    assert_same(ours, NTXentLoss(temperature=temperature), inputs)


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
def test_byol_is_the_papers(batch: int, dim: int) -> None:
    assert_same(total(byol.byol_loss), byol_reference, projections(batch, dim, count=4))


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
def test_barlow_twins_is_the_papers_and_lightlys(batch: int, dim: int) -> None:
    inputs, weight = projections(batch, dim), 5.1e-3
    ours = total(barlow_twins.barlow_twins_loss, redundancy_weight=weight)
    assert_same(ours, lambda first, second: barlow_twins_reference(first, second, weight), inputs)
    assert_same(ours, BarlowTwinsLoss(lambda_param=weight), inputs)


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
def test_vicreg_is_the_papers_and_lightlys(batch: int, dim: int) -> None:
    # Scaled so that some standard deviations lie on either side of the hinge at 1.
    inputs = [
        (value.detach() * torch.linspace(0.2, 1.5, dim)).requires_grad_()
        for value in projections(batch, dim)
    ]
    ours = total(vicreg.vicreg_loss, settings=vicreg.Settings())
    assert_same(
        ours, lambda first, second: vicreg_reference(first, second, (25, 25, 1), 1e-4), inputs
    )
    assert_same(ours, VICRegLoss(), inputs)


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("temperature", [0.02, 0.07])
def test_clustering_is_the_papers_and_lightlys(batch: int, dim: int, temperature: float) -> None:
    # Logits as the normalised head gives them, cosines: the reference's softmax is the naive one.
    logits = [
        functional.normalize(value.detach(), dim=-1) for value in projections(batch, dim, count=4)
    ]
    students, teachers = (
        torch.stack(logits[:2]).requires_grad_(),
        torch.stack(logits[2:]).requires_grad_(),
    )
    centre = torch.linspace(-0.1, 0.1, dim).reshape(1, 1, dim)

    def ours(students: Tensor, teachers: Tensor) -> Tensor:
        loss: Loss = clustering.clustering_loss(
            students, teachers, centre, student_temperature=0.1, teacher_temperature=temperature
        )
        return loss.total

    def lightlys(students: Tensor, teachers: Tensor) -> Tensor:
        loss = DINOLoss(output_dim=dim, student_temp=0.1).double()
        loss.center.copy_(centre)
        # DINOLoss leaves it to the caller to detach the teacher.
        result: Tensor = loss(list(teachers.detach()), list(students), teacher_temp=temperature)
        return result

    def papers(students: Tensor, teachers: Tensor) -> Tensor:
        return clustering_reference(students, teachers, centre.double(), 0.1, temperature)

    assert_same(ours, papers, [students, teachers])
    assert_same(ours, lightlys, [students, teachers])


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
        return -sum(torch.log(p) for p in chosen) / batch

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


# Properties, for every loss of two projections.

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


# Values known beforehand.


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


def test_extreme_logits_of_the_clustering_keep_finite_gradients() -> None:
    students, teachers = (
        torch.stack(projections(4, 8)).detach() * 1e4,
        torch.stack(projections(4, 8)).detach() * 1e4,
    )
    students.requires_grad_()
    loss = clustering.clustering_loss(
        students, teachers, torch.zeros(1, 1, 8), student_temperature=0.1, teacher_temperature=0.02
    )
    loss.total.backward()
    assert all(term.isfinite() for term in loss.terms.values())
    assert students.grad is not None
    assert students.grad.isfinite().all()


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
def test_prototype_head_is_lightlys_dino_head() -> None:
    torch.manual_seed(0)
    ours = heads.PrototypeHead(12, hidden=16, bottleneck=6, prototypes=20)
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
