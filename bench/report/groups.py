"""How stored results are grouped: by any key, and by what matches the cells of two methods."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from bench.results import Result

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)

Slot = tuple[str, int, int, int]
"""Which cell of a method this is: hash of the imported subset, draw, pretraining seed, probe seed.

Cells of two methods are compared pairwise, slot by slot.
"""


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Items by key; groups and their items in the order of appearance."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def slot_of(result: Result) -> Slot:
    """The slot of a cell among the cells of its method."""
    spec = result.spec
    return spec.labels.subset, spec.draw, spec.seed, spec.probe_seed


def labels_of(result: Result) -> str:
    """How the labelled tracks were chosen; "imported" for a subset that was read from a file."""
    return "imported" if result.spec.labels.subset else str(result.protocol["labels"])
