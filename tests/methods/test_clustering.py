"""DINO's loss equals a slow reference written from the paper, and lightly's."""

from importlib import import_module
from itertools import product

import pytest
import torch
from lightly.loss import DINOLoss
from torch import Tensor
from torch.nn import functional

from bench.method import Loss
from tests.methods.losses import SHAPES, assert_same, projections

clustering = import_module("bench.methods.clustering")


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
