"""Supervised: learns encoder and linear classifier end to end from the labelled tracks alone.

This is the baseline that pretext tasks should beat. For music tagging: J. Pons, O. Nieto, M.
Prockup, E. Schmidt, A. Ehmann and X. Serra, "End-to-end Learning for Music Audio Tagging at Scale",
ISMIR 2018, arXiv:1711.02520.

No numbers are taken from the paper. The encoder, the front end and the budget are those of the
pretext tasks, so that it is a fair baseline for them; `dropout` is 0 because no other method here
has any.
"""

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bench import method

PAPER = "Pons et al., ISMIR 2018, arXiv:1711.02520"
COST = "one encoder pass over one view, half of a pretext task's"
USES_LABELS = True
VIEWS = 1


class Settings(method.Settings):
    """Settings of supervised training.

    Attributes:
        dropout: probability that a component of the embedding is dropped before the classifier,
            while training.
    """

    dropout: float = Field(0.0, ge=0, lt=1)


@method.in_float32
def supervised_loss(logits: Tensor, labels: Tensor, *, multi_label: bool) -> method.Loss:
    """Computes the cross-entropy of the labels.

    Args:
        logits: (batch, outputs).
        labels: (batch, outputs) multi-hot for tags, (batch,) class indices for classes.
        multi_label: True for tags (binary cross-entropy, mean over tags), False for classes.

    Returns:
        Total and term "cross_entropy", in nats.
    """
    if multi_label:
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
    else:
        cross_entropy = functional.cross_entropy(logits, labels)
    return method.Loss(total=cross_entropy, terms={"cross_entropy": cross_entropy})


class Method(method.Method):
    """Supervised training of an encoder and a linear classifier."""

    settings: Settings

    def __init__(
        self, encoder: nn.Module, width: int, settings: Settings, task: method.Task
    ) -> None:
        """Adds the classifier; for the arguments see the base class.

        Raises:
            ValueError: if the data set has no labels.
        """
        super().__init__(encoder, width, settings, task)
        if task.outputs < 1:
            raise ValueError("supervised needs labels, and this data set gives none (outputs is 0)")
        # Dropout is not part of the classifier, which is later applied to embeddings by itself.
        self.dropout = nn.Dropout(settings.dropout)
        self.classifier: nn.Module = nn.Linear(width, task.outputs)

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        """Computes the loss of one view."""
        if batch.labels is None:
            raise ValueError("supervised was given a batch without labels")
        (view,) = batch.views
        logits = self.classifier(self.dropout(self.encoder(view)))
        return supervised_loss(logits, batch.labels, multi_label=self.task.multi_label)
