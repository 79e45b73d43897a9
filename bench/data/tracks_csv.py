"""Any CSV as a data set, with one row a track.

Its columns are `path` (relative to the CSV), one of `label` and `tags`, and optionally `split`,
`group` and `track_id`.
"""

import csv
import hashlib
import os
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bench.data.decode import file_status
from bench.data.manifest import SPLITS, InputError, Manifest, Settings, generator

# What a split may be called in a CSV -> its name in the harness.
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
    "": "",
}
_SHARES = {"train": 0.7, "valid": 0.1, "test": 0.2}  # of a split that is drawn
Row = dict[str, str]
"""Column -> value."""


class CsvSettings(Settings):
    """Settings of a data set given as a CSV.

    Attributes:
        split_seed: seed of the split that is drawn where the CSV has none.
    """

    split_seed: int = 0


@cache
def fingerprint(path: Path) -> str:
    """Digest of the CSV's bytes and of the size and modification time of every file that it names.

    No audio is read. The keys of all cells need it, so the files are looked at once a process;
    `fingerprint.cache_clear()` makes the next call look again.

    Raises:
        InputError: the CSV cannot be read.
    """
    rows = _read(path)
    digest = hashlib.sha256(path.read_bytes())
    for row in rows:
        file = path.parent / row["path"]
        status = file_status(file)
        seen = os.path.normpath(file.absolute()) if status else row["path"]
        digest.update(
            f"{seen}:{status and (status.st_size, status.st_mtime_ns)}".encode(
                "utf-8", "surrogateescape"
            )
        )
    return digest.hexdigest()[:16]


def manifest(path: Path, settings: CsvSettings) -> Manifest:
    """Reads a CSV as a manifest.

    Where it has no split, one is drawn in which no group is in two splits.

    Raises:
        InputError: the CSV is missing, empty, lacks a column, or contradicts itself; names the row.
    """
    rows = _read(path)
    kind: Literal["tags", "classes"] = "classes" if "label" in rows[0] else "tags"
    labels = [_labels(row, kind, path, line) for line, row in enumerate(rows, start=2)]
    tags = tuple(sorted({label for several in labels for label in several}))
    fewest = 2 if kind == "classes" else 1
    if len(tags) < fewest:
        raise InputError(
            f"{path}: {len(tags)} different {kind} in all; a comparison needs at least {fewest}"
        )
    tracks = pd.DataFrame({
        "track_id": [row.get("track_id") or row["path"] for row in rows],
        "path": [row["path"] for row in rows],
        "split": [_SPLIT_NAMES.get(row.get("split", "").strip().lower(), "?") for row in rows],
        "tags": labels,
        "group": [_group(row) for row in rows],
    })  # fmt: skip
    for column in rows[0]:
        if column not in tracks and column not in ("label", ""):
            tracks[column] = [row[column] for row in rows]
    _check_tracks(tracks, rows, path)
    split_name, notes = _complete_split(tracks, settings.split_seed)
    return Manifest(tracks, tags, kind, split_name, tuple(notes))


def _group(row: Row) -> str:
    """The group of a track, which is itself where the CSV names none."""
    return row.get("group") or f"track:{row.get('track_id') or row['path']}"


def _read(path: Path) -> list[Row]:
    """The rows of a CSV, without white space around names and values.

    Raises:
        InputError: it is missing, no CSV, empty, or lacks a column.
    """
    if file_status(path) is None:
        raise InputError(
            f"no such file: {path} (a data set is a name of `bench list datasets` or the path of a "
            "CSV)"
        )
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            rows: list[Row] = []
            for row in reader:
                if None in row:
                    raise InputError(
                        f"{path}, line {reader.line_num}: more values than columns; quote commas"
                    )
                rows.append({key: (value or "").strip() for key, value in row.items()})
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV in UTF-8 ({error})") from error
    if not columns:
        raise InputError(
            f"{path}: the file is empty; needed: a header line with path and label or tags"
        )
    if len(set(columns)) < len(columns):
        raise InputError(f"{path}: a column stands twice: {', '.join(columns)}")
    if "path" not in columns or ("label" in columns) == ("tags" in columns):
        needed = (
            "a column 'path' and one of 'label' (one class a track) and 'tags' (several, with | "
            "between)"
        )
        raise InputError(f"{path}: needed are {needed}; found: {', '.join(columns)}")
    if not rows:
        raise InputError(f"{path}: a header but no tracks")
    return rows


def _labels(row: Row, kind: str, path: Path, line: int) -> list[str]:
    """The tags of a row, or its one class; `path` and `line` are for messages."""
    if not row["path"]:
        raise InputError(f"{path}, line {line}: no path")
    if kind == "tags":
        return sorted({tag.strip() for tag in row["tags"].split("|") if tag.strip()})
    if not row["label"]:
        raise InputError(f"{path}, line {line}: no label")
    return [row["label"]]


def _check_tracks(tracks: pd.DataFrame, rows: list[Row], path: Path) -> None:
    """Refuses unknown or missing splits, and tracks that are listed twice.

    Args:
        tracks: of the manifest, with "?" for an unknown split.
        rows: of the CSV, in the same order.
        path: of the CSV, for messages.
    """
    wrong = tracks.index[tracks["split"] == "?"]
    if len(wrong):
        given = rows[wrong[0]]["split"]
        raise InputError(
            f"{path}, line {wrong[0] + 2}: split '{given}'; known: {', '.join(SPLITS)}"
        )
    if (
        "split" in rows[0]
        and (empty := tracks.index[tracks["split"] == ""]).size
        and empty.size < len(tracks)
    ):
        raise InputError(f"{path}, line {empty[0] + 2}: no split, while other tracks have one")
    # The same file can be written as a.wav and as ./a.wav.
    same = {"track_id": tracks["track_id"], "path": tracks["path"].map(os.path.normpath)}
    for column, values in same.items():
        splits = tracks.groupby(values)["split"].nunique()
        if (splits > 1).any():
            raise InputError(
                f"{path}: {column} '{splits.index[splits > 1][0]}' stands in two splits; a track "
                "belongs to one"
            )
        twice = np.flatnonzero(values.duplicated())
        if twice.size:
            value = values.iloc[twice[0]]
            raise InputError(f"{path}, line {twice[0] + 2}: {column} '{value}' stands twice")


def _complete_split(tracks: pd.DataFrame, seed: int) -> tuple[str, list[str]]:
    """Draws what is missing of the split, in place.

    Returns:
        (name of the split, notes for the user).

    Raises:
        InputError: the CSV's split has no train or no test tracks, or too few groups to draw from.
    """
    present = set(tracks["split"])
    if present == {""}:
        tracks["split"] = _draw(tracks, _SHARES, seed)
        return f"drawn-{seed}", [
            f"no split in the CSV: drew train/valid/test by group, shares 70/10/20, seed {seed}"
        ]
    missing = sorted({"train", "test"} - present)
    if missing:
        raise InputError(
            f"the CSV's split has no {' and no '.join(missing)} tracks; give some, or leave it out "
            "and one is drawn"
        )
    notes = []
    shared = tracks.groupby("group")["split"].nunique()
    if (shared > 1).any():
        notes.append(
            f"{int((shared > 1).sum())} groups stand in more than one split: scores may be too high"
        )
    if "valid" in present:
        return "csv", notes
    train = tracks[tracks["split"] == "train"]
    tracks.loc[train.index, "split"] = _draw(train, {"train": 0.85, "valid": 0.15}, seed)
    notes.append(
        f"no valid tracks in the CSV: drew 15 % of the training groups for them, seed {seed}"
    )
    return f"csv+valid-{seed}", notes


def _draw(tracks: pd.DataFrame, shares: dict[str, float], seed: int) -> list[str]:
    """Draws a split of whole groups, in which tags and tracks have about the splits' shares.

    Groups are taken in random order. Each goes to the split that lacks most of the group's tags;
    of equal ones, to that which lacks most tracks.

    Args:
        tracks: with the columns `group` and `tags`.
        shares: name of each split -> its share of the tracks.
        seed: of the order of the groups.

    Returns:
        The split of each track.

    Raises:
        InputError: there are too few groups, or too unequal ones, for every split to have one.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for place, group in enumerate(tracks["group"]):
        members[group].append(place)
    if len(members) < len(shares):
        raise InputError(
            f"cannot draw a split of {len(members)} groups; at least {len(shares)} are needed"
        )
    labels = tracks["tags"].tolist()
    totals = Counter(tag for several in labels for tag in several)
    counts: dict[str, Counter[str]] = {split: Counter() for split in shares}
    sizes = dict.fromkeys(shares, 0)
    dealt = [""] * len(tracks)
    groups = sorted(members)
    for place in generator(seed, "csv split").permutation(len(groups)):
        group = members[groups[place]]
        tags = Counter(tag for index in group for tag in labels[index])
        needs: dict[str, tuple[float, float]] = {}
        for split, share in shares.items():
            lack = sum(
                number * (share - counts[split][tag] / totals[tag]) for tag, number in tags.items()
            )
            tags_lacking = lack / max(1, sum(tags.values())) / share
            needs[split] = tags_lacking, 1 - sizes[split] / (share * len(tracks))
        chosen = max(shares, key=needs.__getitem__)
        counts[chosen].update(tags)
        sizes[chosen] += len(group)
        for index in group:
            dealt[index] = chosen
    if not all(sizes.values()):
        raise InputError(
            f"the groups are too unequal to draw a split: {dict(sizes)}; give a column 'split'"
        )
    return dealt
