"""The settings that identify a pretraining, and nested settings as a flat table of dotted names."""

from typing import Any

from bench.settings.specs import RunSpec, digest

_TRAINED = ("views", "augment", "train", "pretrain_dataset")
"""Sections of a spec that the pretraining of a method that trains depends on."""
_LABELLED = ("dataset", "labels", "fraction", "draw", "embed")
"""Further sections that it depends on, where the method learns from labels.

Such a method stops by its score on the valid split, hence "embed".
"""
_CHANGES_NOTHING = {"train": {"checkpoint_seconds"}}


def pretraining(spec: RunSpec, *, trains: bool, uses_labels: bool) -> dict[str, Any]:
    """The settings that a cell's pretraining depends on, by the names of its spec.

    Two cells with equal settings share one pretraining. Keys, the groups of a sweep and the parents
    of MLflow runs are all computed from them.

    Args:
        spec: the cell.
        trains: whether the method is trained at all.
        uses_labels: whether it learns from the labelled tracks.
    """
    names = ["method", "encoder", "weights", "seed"]
    names += _TRAINED if trains else ()
    names += _LABELLED if uses_labels else ()
    asked = spec.model_dump(mode="json", include=set(names), exclude=_CHANGES_NOTHING)
    return {name: asked[name] for name in names}


def pretraining_id(spec: RunSpec, *, uses_labels: bool) -> str:
    """Digest of `pretraining`: the same whatever the code, and before any data set is prepared.

    Args:
        spec: the cell.
        uses_labels: whether its method learns from the labelled tracks.
    """
    return digest(pretraining(spec, trains=True, uses_labels=uses_labels), 12)


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name, such as "train.steps"; what is in lists stays together.

    Args:
        tree: nested dictionaries; an empty one counts as a value.
        prefix: put before every name.
    """
    settings: dict[str, Any] = {}
    for name, value in tree.items():
        nested = isinstance(value, dict) and value
        settings |= flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return settings
