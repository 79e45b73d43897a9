"""Which tracks a probe may see the labels of: nested subsets, the same for every method and on every machine.

A draw is an order of the training tracks; the subset at a fraction is its beginning, so a larger
one holds a smaller. Two schemes make the order. "uniform" is a random permutation, as in Deezer's
comparison (ICASSP 2024), where rare tags may have no positive at 1 %. "balanced" gives every tag a
positive as early as possible and then goes on with a track of the tag that has the fewest: a nested
form of CLMR's undersampling of its 1 % (`random_undersample_balanced` in the authors' first code),
which is why its curve is not to be read beside a uniform one.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.core.randomness import raw
from bench.settings.specs import LabelsSpec

SCHEMA = 1
_LISTED = 3  # ids that an error names


@dataclass(frozen=True)
class Pool:
    """The tracks that may be labelled, those of the training split.

    Attributes:
        ids: (tracks,) identifiers.
        labels: (tracks, outputs) bool; one-hot for classes.
        groups: (tracks,) group of each track; artist or album.
        dataset_tracks: tracks of the whole data set.
        purpose: names the data set and split, and no method: every method sees the same subsets.
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.bool_]
    groups: NDArray[np.str_]
    dataset_tracks: int
    purpose: str


@dataclass(frozen=True)
class Preset:
    """How a published work draws its labelled subsets.

    Attributes:
        fractions: of the labels, ascending.
        draws: of each fraction below 1.
        labels: scheme and what fractions are shares of.
        source: where that is said.
    """

    fractions: tuple[float, ...]
    draws: int
    labels: LabelsSpec
    source: str


PRESETS = {
    "deezer": Preset(
        (0.01, 0.05, 0.1, 0.2, 1.0),
        4,
        LabelsSpec(scheme="uniform"),
        "Meseguer-Brocal, Desblancs and Hennequin, ICASSP 2024: uniform over tracks, 4 draws; arXiv 2404.09177",
    ),
    "clmr": Preset(
        (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
        1,
        LabelsSpec(scheme="balanced", of="dataset"),
        "Spijkervet and Burgoyne, ISMIR 2021: balanced over tags, 1 % is 259 songs of 25 863; arXiv 2103.09410",
    ),
}


def size_of(fraction: float, pool: Pool, of: str) -> int:
    """Number of tracks that a fraction stands for, at least 1.

    Args:
        fraction: a share in (0, 1], or above 1 a whole number of tracks.
        pool: the tracks that may be labelled.
        of: "train" or "dataset": what a share is a share of; 1 is all tracks of the pool in both.

    Raises:
        InputError: no share and no number of tracks, or more tracks than there are.
    """
    tracks = len(pool.labels)
    if tracks == 0:
        raise InputError("the training split has no tracks: nothing can be labelled")
    if not fraction > 0 or (fraction > 1 and fraction != int(fraction)):
        raise InputError(
            f"the labelled fraction is {fraction:g}; give a share in (0, 1] or a whole number of tracks"
        )
    if fraction == 1:
        return tracks
    whole = pool.dataset_tracks if of == "dataset" else tracks
    size = int(fraction) if fraction > 1 else max(1, round(fraction * whole))
    if size > tracks:
        share = "" if fraction > 1 else f" ({fraction:g} of the data set's {whole})"
        raise InputError(
            f"{size} labelled tracks{share} are asked for; the training split has {tracks}"
        )
    return size


def labelled_order(
    labels: NDArray[np.bool_], scheme: str, draw: int, seed: int, purpose: str
) -> NDArray[np.int64]:
    """The order in which tracks (or groups of tracks) are labelled in one draw.

    "balanced": as long as a tag has no positive, take the rarest such tag and, of its tracks, the
    one with most tags that have none yet. Then take the tag with the fewest positives so far of
    those that have a track left (the rarer in the pool first) and any of its tracks. Tracks without
    a tag come last. The draw's random order breaks all ties.

    Args:
        labels: (tracks, outputs) bool; one-hot for classes.
        scheme: "uniform" or "balanced".
        draw: which draw.
        seed: of the random order.
        purpose: names the data set and split.

    Returns:
        (tracks,) a permutation of the tracks.
    """
    # A stable sort of raw bits: numpy may change how it permutes, but not these.
    shuffled = np.argsort(raw(seed, f"subset/{purpose}", draw, len(labels)), kind="stable")
    if scheme == "uniform":
        return shuffled
    positive = np.ascontiguousarray(labels[shuffled])
    first = _cover(positive)
    return shuffled[_even(positive, first)]


def _cover(positive: NDArray[np.bool_]) -> list[int]:
    """Places of tracks that together give every tag a positive."""
    frequency = positive.sum(0)
    open_tags = frequency > 0
    taken: list[int] = []
    for tag in np.argsort(frequency, kind="stable"):
        if open_tags[tag]:
            holders = np.flatnonzero(positive[:, tag])
            taken.append(int(holders[positive[holders][:, open_tags].sum(1).argmax()]))
            open_tags &= ~positive[taken[-1]]
    return taken


def _even(positive: NDArray[np.bool_], first: list[int]) -> NDArray[np.int64]:
    """Goes on from the places `first` with a track of the tag that has the fewest positives so far."""
    tracks, outputs = positive.shape
    free = np.ones(tracks, dtype=bool)
    free[first] = False
    order = list(first)
    had = positive[first].sum(0).astype(np.float64)
    # One number to be smallest: positives so far, then rarity in the pool; a tag with no track left
    # is infinite.
    rarity = positive.sum(0) / (tracks + 1)
    holders = [iter(np.flatnonzero(column).tolist()) for column in positive.T]
    carried = [np.flatnonzero(row) for row in positive]
    need = had + rarity
    while outputs:
        tag = int(need.argmin())
        if np.isinf(need[tag]):
            break
        place = next((place for place in holders[tag] if free[place]), None)
        if place is None:
            need[tag] = np.inf
            continue
        free[place] = False
        order.append(place)
        need[carried[place]] += 1
    return np.concatenate([np.array(order, dtype=np.int64), np.flatnonzero(free)])


def labelled_subset(pool: Pool, fraction: float, draw: int, spec: LabelsSpec) -> NDArray[np.int64]:
    """The tracks that are labelled at a fraction of one draw.

    By group, whole groups are taken in the order of the draw up to the last that fits, and at least
    one.

    Args:
        pool: the tracks that may be labelled.
        fraction: see `size_of`.
        draw: which draw.
        spec: scheme, unit and seed.

    Returns:
        (size,) places in the pool, ascending.

    Raises:
        InputError: the fraction stands for more tracks than there are, or what it stands for has no
            positive.
    """
    size = size_of(fraction, pool, spec.of)
    if spec.by == "track":
        chosen = labelled_order(pool.labels, spec.scheme, draw, spec.seed, pool.purpose)[:size]
    else:
        chosen = _whole_groups(pool, size, draw, spec)
    subset = np.sort(chosen)
    if not pool.labels[subset].any():
        which = f"fraction {fraction:g}, draw {draw} ({spec.scheme}): {len(subset)} of {len(pool.labels)} tracks"
        raise InputError(
            f"{which} hold no positive of any tag: take a larger fraction or --labels.scheme balanced"
        )
    return subset


def _whole_groups(pool: Pool, size: int, draw: int, spec: LabelsSpec) -> NDArray[np.int64]:
    names, group = np.unique(pool.groups, return_inverse=True)
    labels = np.zeros((len(names), pool.labels.shape[1]), dtype=bool)
    np.logical_or.at(labels, group, pool.labels)
    order = labelled_order(labels, spec.scheme, draw, spec.seed, f"{pool.purpose}/groups")
    together = np.bincount(group, minlength=len(names))[order].cumsum()
    taken = max(1, int(np.searchsorted(together, size, side="right")))
    return np.flatnonzero(np.isin(group, order[:taken]))


def describe(
    pool: Pool, subset: NDArray[np.int64], tags: tuple[str, ...], about: dict[str, Any]
) -> dict[str, Any]:
    """A subset as it is written to a file.

    Args:
        pool: the tracks that may be labelled.
        subset: (size,) places in the pool.
        tags: names of the outputs.
        about: how the subset came about: data set, split, fraction, draw, scheme and so on.

    Returns:
        JSON-ready: `about`, "tracks" (ids, sorted), "positives" (by tag) and "hash" of the ids.
    """
    ids = sorted(str(name) for name in pool.ids[subset])
    positives = pool.labels[subset].sum(0)
    counted = {tag: int(number) for tag, number in zip(tags, positives, strict=True)}
    return {
        "schema_version": SCHEMA,
        "hash": subset_hash(ids),
        **about,
        "positives": counted,
        "tracks": ids,
    }


def subset_hash(ids: list[str]) -> str:
    """16 hexadecimal digits of the SHA-256 of the sorted ids, a line each."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]


def parse(text: str, where: str) -> list[str]:
    """The track ids of a subset file.

    Args:
        text: content of the file.
        where: its name, for errors.

    Raises:
        InputError: no subset file, another schema, ids twice, or ids that do not fit the hash.
    """
    try:
        content = json.loads(text)
        version, stated, ids = content["schema_version"], content["hash"], content["tracks"]
    except (ValueError, TypeError, KeyError) as error:
        reason = (
            f"no '{error.args[0]}'" if isinstance(error, KeyError) else "no JSON object of a subset"
        )
        raise InputError(
            f"{where} is no subset file ({reason}); `bench subsets export` writes them"
        ) from error
    if version != SCHEMA:
        raise InputError(
            f"{where}: schema {version!r} of subset files is not known; this is {SCHEMA}"
        )
    if not isinstance(ids, list) or not ids or not all(isinstance(name, str) for name in ids):
        raise InputError(f"{where}: 'tracks' must be a list of track ids, at least one")
    if len(set(ids)) != len(ids):
        raise InputError(f"{where}: {len(ids) - len(set(ids))} track ids stand in it twice")
    if subset_hash(ids) != stated:
        raise InputError(
            f"{where}: its tracks have the hash {subset_hash(ids)}, not {stated!r}: it was changed"
        )
    return ids


def places(pool: Pool, ids: list[str], where: str) -> NDArray[np.int64]:
    """Where the tracks of a subset stand in the pool, ascending.

    Raises:
        InputError: tracks that are not in the training split, or no positive among them.
    """
    place = {str(name): number for number, name in enumerate(pool.ids)}
    missing = [name for name in ids if name not in place]
    if missing:
        some = ", ".join(missing[:_LISTED]) + (", ..." if len(missing) > _LISTED else "")
        raise InputError(
            f"{where}: {len(missing)} of its {len(ids)} tracks are not in the training split ({some})"
        )
    found = np.sort(np.array([place[name] for name in ids], dtype=np.int64))
    if not pool.labels[found].any():
        raise InputError(f"{where}: none of its {len(ids)} tracks has a tag")
    return found


def stored(home: Path, name: str) -> list[str]:
    """The track ids of an imported subset.

    Args:
        home: where `bench subsets import` put it.
        name: its hash.

    Raises:
        InputError: it is not there, or was changed.
    """
    path = home / "subsets" / f"{name}.json"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"no subset {name} in {home / 'subsets'}: `bench subsets import FILE` puts it there"
        ) from error
    return parse(text, str(path))


def tags_without_positive(labels: NDArray[np.bool_], subset: NDArray[np.int64]) -> int:
    """How many tags no track of the subset has.

    Labels (tracks, outputs) bool, subset (size,) track indices.
    """
    return int((~labels[subset].astype(bool).any(0)).sum())
