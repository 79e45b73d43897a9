"""Places: a data set and split that cells were scored on. Scores of two places are never mixed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bench.report.groups import grouped
from bench.report.names import shortened
from bench.results import Result


@dataclass(frozen=True, order=True)
class Place:
    """A data set and split, with the tracks that they are made of.

    Attributes:
        dataset: name of the data set.
        split: name of the split.
        tracks: hash of tracks, splits and tags.
    """

    dataset: str
    split: str
    tracks: str


def place_of(result: Result) -> Place:
    """The place that a cell was scored on."""
    return Place(
        result.dataset, str(result.data.get("split", "")), str(result.data.get("tracks_hash", ""))
    )


def places(results: Iterable[Result]) -> dict[Place, list[Result]]:
    """Results by the place that they were scored on, sorted by place."""
    return dict(sorted(grouped(results, place_of).items()))


def place_names(every: Iterable[Place]) -> dict[Place, str]:
    """A title for each place: data set and split.

    Where several places share both, a part of the hash of their tracks tells them apart.
    """
    every = list(every)
    named = Counter((place.dataset, place.split) for place in every)
    return {
        place: f"{shortened(place.dataset)} ({shortened(place.split)}"
        + (f", {place.tracks[:6]})" if named[place.dataset, place.split] > 1 else ")")
        for place in every
    }
