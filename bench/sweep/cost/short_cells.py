"""Cells with so few steps that running them takes seconds, for `bench.sweep.cost.measure`."""

from typing import Any

from bench.settings.specs import LabelsSpec, RunSpec
from bench.settings.traits import Traits
from bench.sweep.cost.sample import SEGMENTS

WARM_UP = 3
"""Number of steps of the first run."""
_TIMED_SECONDS = 5.0  # what the further steps of a stage are to take, about
_MOST_STEPS = 100


def short(spec: RunSpec, trains: bool, seconds: float) -> RunSpec:
    """A cell with few steps of everything, on all labels of a few tracks.

    Args:
        spec: the cell.
        trains: whether its method is trained.
        seconds: length of its views, in seconds.
    """
    train = {"steps": WARM_UP, "epochs": 0.0, "diagnose_times": 1, "patience": 0, "warmup": 0.0}
    limit = SEGMENTS * seconds
    update: dict[str, Any] = {
        "train": spec.train.model_copy(update=train),
        "probe": spec.probe.model_copy(
            update={"steps": min(spec.probe.steps, spec.probe.evaluate_every), "patience": 0}
        ),
        "finetune": spec.finetune.model_copy(
            update={"steps": WARM_UP, "diagnose_times": 1, "patience": 0}
        ),
        "embed": spec.embed.model_copy(
            update={"max_seconds": min(limit, spec.embed.max_seconds or limit)}
        ),
        "views": spec.views.model_copy(update={"exclude": ""}),
        "labels": LabelsSpec(),
        "fraction": 1.0,
        "draw": 0,
    }
    if not trains:
        update["pretrain_dataset"] = spec.dataset
    return spec.model_copy(update=update)


def longer(few: RunSpec, step: float, tuning: float, new: bool, about: Traits) -> RunSpec:
    """The cell of `short` with as many more steps as take a few seconds.

    Args:
        few: the cell with few steps.
        step: seconds of a step of pretraining, about.
        tuning: seconds of a step of fine-tuning, about.
        new: whether it is to be pretrained anew, with another seed.
        about: traits of the method.
    """
    update: dict[str, Any] = {"seed": few.seed + 2} if new else {}
    if about.trains and new:
        update["train"] = few.train.model_copy(update={"steps": WARM_UP + _more(step)})
    if few.probe.kind == "finetune" and not about.uses_labels:
        update["finetune"] = few.finetune.model_copy(update={"steps": WARM_UP + _more(tuning)})
    elif few.probe.kind != "knn" and not about.uses_labels:
        update["probe"] = few.probe.model_copy(update={"steps": 4 * few.probe.steps})
    return few.model_copy(update=update)


def _more(seconds: float) -> int:
    """Number of steps that are timed, where each takes so many seconds."""
    return max(WARM_UP, min(_MOST_STEPS, int(_TIMED_SECONDS / max(seconds, 1e-3))))
