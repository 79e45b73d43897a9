"""Clustering: predicts the prototype that a momentum teacher assigns to the other view (DINO).

M. Caron, H. Touvron, I. Misra, H. Jégou, J. Mairal, P. Bojanowski and A. Joulin, "Emerging
Properties in Self-Supervised Vision Transformers" (DINO), ICCV 2021, arXiv:2104.14294. In music:
the "clustering" of G. Meseguer-Brocal, D. Desblancs and R. Hennequin, "An Experimental Comparison
of Multi-view Self-supervised Methods for Music Tagging", ICASSP 2024, arXiv:2404.09177.

Numbers that differ from DINO, after Deezer's comparison: the head is 1024-1024-256 wide with 4096
prototypes (DINO: 2048-2048-256 and 65536), and the teacher temperature rises from 0.02 to 0.04
(DINO: 0.04 throughout). Schedules are fractions of the run, not epochs; there are two views and no
small crops. Deezer's head has BatchNorm and ReLU, no normalised bottleneck and a plain last layer:
`normalise` off.

Signs of collapse: "kl" near 0, together with either "cross_entropy" and "teacher_entropy" both
constant at ln(prototypes) (8.318 for 4096; every track is assigned to all prototypes alike) or
"usage_entropy" near 0 (every track is assigned to the same prototype).
"""

from typing import Self

import torch
from lightly.models.modules.center import Center
from lightly.utils.scheduler import linear_warmup_schedule
from pydantic import Field, model_validator
from torch import Tensor, nn

from bench import heads, method

PAPER = (
    "Caron et al., ICCV 2021, arXiv:2104.14294; "
    "Meseguer-Brocal et al., ICASSP 2024, arXiv:2404.09177"
)
COST = (
    "one encoder pass over two views and one more without gradient (teacher), about 4/3 of the time"
)


class Settings(method.Settings):
    """Settings of the clustering.

    Attributes:
        hidden: width of the head's hidden layers.
        bottleneck: width of the layer before the prototypes.
        prototypes: number of clusters; with a batch of B tracks at most 2 B of them can be used in
            one step.
        normalise: whether to use DINO's head (bottleneck and prototypes of unit length, GELU, no
            BatchNorm) or, if off, Deezer's.
        student_temperature: divisor of the student's logits.
        teacher_temperature_start: divisor of the teacher's logits in the first step; the smaller,
            the sharper the assignment.
        teacher_temperature: divisor of the teacher's logits after the warm-up.
        warmup_fraction: share of the run in which the teacher's temperature rises linearly.
        freeze_fraction: share of the run, from its start, in which the prototypes do not learn
            (DINO: the first epoch).
        centre_momentum: share of its value that the centre of the teacher's logits keeps in each
            step.
        momentum: share of its weights that the teacher keeps in the first step; it rises to 1 over
            the run.
    """

    hidden: int = Field(1024, ge=1)
    bottleneck: int = Field(256, ge=1)
    prototypes: int = Field(4096, ge=2)
    normalise: bool = True
    student_temperature: float = Field(0.1, gt=0, le=10)
    teacher_temperature_start: float = Field(0.02, gt=0, le=10)
    teacher_temperature: float = Field(0.04, gt=0, le=10)
    warmup_fraction: float = Field(0.1, ge=0, le=1)
    freeze_fraction: float = Field(0.01, ge=0, le=1)
    centre_momentum: float = Field(0.9, ge=0, lt=1)
    momentum: float = Field(0.996, ge=0, lt=1)

    @model_validator(mode="after")
    def _temperature_rises(self) -> Self:
        if self.teacher_temperature_start > self.teacher_temperature:
            start, end = self.teacher_temperature_start, self.teacher_temperature
            raise ValueError(
                f"teacher_temperature_start ({start}) must not exceed teacher_temperature ({end})"
            )
        return self


@method.in_float32
def clustering_loss(
    students: Tensor,
    teachers: Tensor,
    centre: Tensor,
    *,
    student_temperature: float,
    teacher_temperature: float,
) -> method.Loss:
    """Computes the cross-entropy between the student's assignment and the teacher's (equation 3).

    The student's assignment of each view is compared with the teacher's of the other view.

    Args:
        students: (2, batch, prototypes) logits of the student for both views.
        teachers: (2, batch, prototypes) logits of the teacher; they get no gradient.
        centre: (1, 1, prototypes), subtracted from the teacher's logits.
        student_temperature: divisor of the student's logits.
        teacher_temperature: divisor of the teacher's logits.

    Returns:
        Total and term "cross_entropy", which is the sum of the diagnostics "teacher_entropy" and
        "kl"; "usage_entropy", the entropy of the mean assignment, is a diagnostic too. All are in
        nats.
    """
    # This is log_softmax and not the logarithm of a clamped softmax as in Deezer's code, whose
    # gradient may be undefined.
    log_student = (students / student_temperature).log_softmax(dim=-1)
    log_teacher = ((teachers.detach() - centre) / teacher_temperature).log_softmax(dim=-1)
    teacher = log_teacher.exp()
    cross_entropy = -(teacher * log_student.flip(0)).sum(dim=-1).mean()
    teacher_entropy = -(teacher * log_teacher).sum(dim=-1).mean()
    terms = {
        "cross_entropy": cross_entropy,
        "teacher_entropy": teacher_entropy,
        "kl": cross_entropy.detach() - teacher_entropy,
        "usage_entropy": torch.special.entr(heads.averaged(teacher.mean(dim=(0, 1)))).sum(),
    }
    return method.Loss(total=cross_entropy, terms=terms)


class Method(method.Method):
    """DINO: a student and a teacher, each an encoder and a head.

    The centre of the teacher's logits is a buffer, so that it is saved with the weights.
    """

    settings: Settings

    def __init__(
        self, encoder: nn.Module, width: int, settings: Settings, task: method.Task
    ) -> None:
        """Adds the head, the teacher and the centre; for the arguments see the base class."""
        super().__init__(encoder, width, settings, task)
        hidden, bottleneck, prototypes = settings.hidden, settings.bottleneck, settings.prototypes
        self.head = heads.PrototypeHead(
            width,
            hidden=hidden,
            bottleneck=bottleneck,
            prototypes=prototypes,
            normalise=settings.normalise,
        )
        self.teacher = heads.SlowCopy(encoder, self.head)
        self.centre = Center(size=(1, 1, prototypes), momentum=settings.centre_momentum)

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        """Computes the loss of two views in both directions."""
        settings = self.settings
        freeze = step < settings.freeze_fraction * self.task.steps
        students = torch.stack(
            [self.head(self.encoder(view), freeze=freeze) for view in batch.views]
        )
        teachers = torch.stack([self.teacher(view) for view in batch.views])
        # Kept for `after_step`, which is not called for a step that is skipped because its loss is
        # not finite: such a step must not move the centre.
        self._teachers = teachers
        return clustering_loss(
            students,
            teachers,
            self.centre.value,
            student_temperature=settings.student_temperature,
            teacher_temperature=teacher_temperature_at(
                step, steps=self.task.steps, settings=settings
            ),
        )

    def after_step(self, step: int) -> None:
        """Moves the centre, averaged over the processes, and the teacher."""
        self.centre.update(self._teachers.float())
        momentum = heads.momentum_at(step, steps=self.task.steps, start=self.settings.momentum)
        self.teacher.follow(self.encoder, self.head, momentum=momentum)


def teacher_temperature_at(step: int, *, steps: int, settings: Settings) -> float:
    """Computes the teacher's temperature at a step: a linear warm-up, then constant.

    Args:
        step: number of the optimiser step, from 0.
        steps: length of the run in steps.
        settings: the temperatures and the length of the warm-up.
    """
    start, end = settings.teacher_temperature_start, settings.teacher_temperature
    warmup_steps = round(settings.warmup_fraction * steps)
    return float(
        linear_warmup_schedule(step, warmup_steps=warmup_steps, start_value=start, end_value=end)
    )
