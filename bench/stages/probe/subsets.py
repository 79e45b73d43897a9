"""Labelled subsets: which training tracks a probe sees the labels of, the same for every method.

A draw is an order of the training tracks, the same on every machine; the subset at a fraction is
its beginning, so a larger subset holds every smaller one. Two schemes make the order. "uniform" is
a random permutation, as in Deezer's comparison (ICASSP 2024), where rare tags may have no positive
at 1 %. "balanced" gives every tag a positive as early as possible and then goes on with a track of
the tag that has the fewest: a nested form of CLMR's undersampling of its 1 %
(`random_undersample_balanced` in the authors' first code), which is why its curve is not to be read
beside a uniform one.
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
from bench.stages.probe.balance import balanced_order

SCHEMA = 1
_LISTED = 3  # ids that an error names


@dataclass(frozen=True)
class Pool:
    """The tracks that may be labelled, those of the training split.

    Attributes:
        ids: (tracks,) identifiers.
        labels: (tracks, outputs) bool; one-hot for classes.
        groups: (tracks,) group of each track: its artist or album.
        dataset_tracks: number of tracks of the whole data set.
        purpose: names the data set and split for the random generator. It does not name the method,
            so every method sees the same subsets.
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
        draws: number of subsets drawn at each fraction below 1.
        labels: the scheme, and what fractions are shares of.
        source: the publication, and what it says.
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
        "Meseguer-Brocal, Desblancs and Hennequin, ICASSP 2024: uniform over tracks, 4 draws; "
        "arXiv 2404.09177",
    ),
    "clmr": Preset(
        (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
        1,
        LabelsSpec(scheme="balanced", of="dataset"),
        "Spijkervet and Burgoyne, ISMIR 2021: balanced over tags, 1 % is 259 songs of 25 863; "
        "arXiv 2103.09410",
    ),
}


def size_of(fraction: float, pool: Pool, of: str) -> int:
    """Computes the number of tracks that a fraction stands for, at least 1.

    Args:
        fraction: a share in (0, 1], or above 1 a whole number of tracks.
        pool: the tracks that may be labelled.
        of: "train" or "dataset": what a share is a share of; 1 is all tracks of the pool in both.

    Raises:
        InputError: the fraction is neither a share nor a whole number, or stands for more tracks
            than there are.
    """
    tracks = len(pool.labels)
    if tracks == 0:
        raise InputError("the training split has no tracks: nothing can be labelled")
    if not fraction > 0 or (fraction > 1 and fraction != int(fraction)):
        raise InputError(
            f"the labelled fraction is {fraction:g}; give a share in (0, 1] or "
            "a whole number of tracks"
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
    """Makes the order in which tracks (or groups of tracks) are labelled in one draw.

    "uniform" is a random order; "balanced" is that of `balanced_order`, where the draw's random
    order breaks all ties.

    Args:
        labels: (tracks, outputs) bool; one-hot for classes.
        scheme: "uniform" or "balanced".
        draw: number of the draw.
        seed: of the random order.
        purpose: names the data set and split.

    Returns:
        (tracks,) a permutation of the tracks.
    """
    # Tracks are sorted by raw random bits: a new version of numpy may change how it permutes, but
    # neither these bits nor what a stable sort makes of them.
    shuffled = np.argsort(raw(seed, f"subset/{purpose}", draw, len(labels)), kind="stable")
    if scheme == "uniform":
        return shuffled
    positive = np.ascontiguousarray(labels[shuffled])
    return shuffled[balanced_order(positive)]


def labelled_subset(pool: Pool, fraction: float, draw: int, spec: LabelsSpec) -> NDArray[np.int64]:
    """Draws the tracks that are labelled at a fraction.

    Where the unit is the group, whole groups are taken in the order of the draw up to the last that
    fits, and at least one.

    Args:
        pool: the tracks that may be labelled.
        fraction: see `size_of`.
        draw: number of the draw.
        spec: scheme, unit and seed.

    Returns:
        (size,) places in the pool, ascending.

    Raises:
        InputError: the fraction stands for more tracks than there are, or the subset has no
            positive.
    """
    size = size_of(fraction, pool, spec.of)
    if spec.by == "track":
        chosen = labelled_order(pool.labels, spec.scheme, draw, spec.seed, pool.purpose)[:size]
    else:
        chosen = _whole_groups(pool, size, draw, spec)
    subset = np.sort(chosen)
    if not pool.labels[subset].any():
        raise InputError(
            f"fraction {fraction:g}, draw {draw} ({spec.scheme}): {len(subset)} of "
            f"{len(pool.labels)} tracks hold no positive of any tag: take a larger fraction or "
            "--labels.scheme balanced"
        )
    return subset


def _whole_groups(pool: Pool, size: int, draw: int, spec: LabelsSpec) -> NDArray[np.int64]:
    """Draws whole groups that hold `size` tracks at most; returns the places of their tracks."""
    names, group = np.unique(pool.groups, return_inverse=True)
    labels = np.zeros((len(names), pool.labels.shape[1]), dtype=bool)
    np.logical_or.at(labels, group, pool.labels)
    order = labelled_order(labels, spec.scheme, draw, spec.seed, f"{pool.purpose}/groups")
    # Tracks up to each group of the order, that group included.
    tracks = np.bincount(group, minlength=len(names))[order].cumsum()
    taken = max(1, int(np.searchsorted(tracks, size, side="right")))
    return np.flatnonzero(np.isin(group, order[:taken]))


def describe(
    pool: Pool, subset: NDArray[np.int64], tags: tuple[str, ...], about: dict[str, Any]
) -> dict[str, Any]:
    """Describes a subset as it is written to a file.

    Args:
        pool: the tracks that may be labelled.
        subset: (size,) places in the pool.
        tags: names of the outputs.
        about: how the subset was drawn: data set, split, fraction, draw, scheme and so on.

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
    """Computes 16 hexadecimal digits of the SHA-256 of the sorted ids, a line each."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]


def parse(text: str, where: str) -> list[str]:
    """Reads the track ids of a subset file.

    Args:
        text: content of the file.
        where: name of the file, for errors.

    Raises:
        InputError: the file is no subset file or has another schema, or an id stands in it twice,
            or its ids do not have the hash that it states.
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
    """Finds the tracks of a subset in the pool.

    Args:
        pool: the tracks that may be labelled.
        ids: of the subset.
        where: name of the subset, for errors.

    Returns:
        (size,) places in the pool, ascending.

    Raises:
        InputError: tracks that are not in the training split, or no positive among them.
    """
    place = {str(name): number for number, name in enumerate(pool.ids)}
    missing = [name for name in ids if name not in place]
    if missing:
        some = ", ".join(missing[:_LISTED]) + (", ..." if len(missing) > _LISTED else "")
        raise InputError(
            f"{where}: {len(missing)} of its {len(ids)} tracks are not in the training split "
            f"({some})"
        )
    subset = np.sort(np.array([place[name] for name in ids], dtype=np.int64))
    if not pool.labels[subset].any():
        raise InputError(f"{where}: none of its {len(ids)} tracks has a tag")
    return subset


def stored(home: Path, name: str) -> list[str]:
    """Reads the track ids of an imported subset.

    Args:
        home: the folder of products, into which `bench subsets import` put the subset.
        name: hash of the subset.

    Raises:
        InputError: the subset is not there, or was changed.
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
    """Counts the tags that no track of a subset has.

    Args:
        labels: (tracks, outputs) bool.
        subset: (size,) places of its tracks.
    """
    return int((~labels[subset].astype(bool).any(0)).sum())
