"""The manifest: a table with one row a track, the form in which the harness knows every data set.

A file in `datasets/` has a docstring (`bench list datasets` shows its first line), the constants
below, a frozen `Settings`, and one function `manifest(root, settings, progress)`, which reads the
data set's own files under `root` (or makes them there) and returns a `Manifest`. Of the harness it
imports this module alone.

Constants: PAPER, COST, HOMEPAGE, LICENCE, CITATION (strings). GENERATED = True where the data set
makes its own files. Otherwise FILES (what anyone may download: a tuple of `File`) and, where that
depends on the settings, a function `files(settings)`; PUBLISHED (split name -> what the complete
data set has: tracks of each split, and tags) and PUBLISHED_IN (where these numbers are published);
INSTRUCTIONS (what to do where some files cannot be downloaded).
"""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Literal

import pandas as pd

from bench.core.errors import InputError as InputError
from bench.core.randomness import generator as generator
from bench.settings.base import Spec

SPLITS = ("train", "valid", "test")
Progress = Callable[[int, int], None]
"""Called with (done, total) as work goes on."""

_SHOWN = 8  # names in a message
_LONGEST_NAME = 100  # characters of a name in a message
_LONGEST_FIELD = 2**24  # characters; csv's own limit of 131 072 is too low for FMA's biographies
_PROBED = 50  # audio files that are looked for in neighbouring folders


class Settings(Spec):
    """Base of a data set's settings: frozen, typed, unknown keys are errors."""


@dataclass(frozen=True)
class Manifest:
    """A data set as the harness knows it.

    Attributes:
        tracks: one row a track: `track_id` (unique str), `path` (str, relative to the data set's
            root), `split` (one of SPLITS, or "" for unlabelled audio), `tags` (list of str),
            `group` (str: artist or album; if groups have tracks in two splits, a note says how
            many), and any further columns that describe the track.
        tags: every tag that may occur, in the order of the outputs.
        kind: "tags" (several a track) or "classes" (exactly one a track).
        split_name: which of the data set's published or drawn splits this is; part of a score's
            identity.
        notes: sentences for the user, such as on what was counted, filled in or left out.
    """

    tracks: pd.DataFrame
    tags: tuple[str, ...]
    kind: Literal["tags", "classes"]
    split_name: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class File:
    """A file of a data set that anyone may download.

    Attributes:
        name: its path, relative to the data set's root.
        url: address that it is downloaded from.
        bytes: its size; None where it is not published.
        checksum: "sha256:…", "sha1:…" or "md5:…"; "" where none is published.
        listed_in: name of another of the files, whose lines "digest name" have this one's checksum;
            "" for none.
        unpack: whether it is an archive that is to be unpacked into its own folder.
        part_of: name of the archive of which this file is the next part (parts are joined in
            order); "" for none.
    """

    name: str
    url: str
    bytes: int | None = None
    checksum: str = ""
    listed_in: str = ""
    unpack: bool = False
    part_of: str = ""


def find(root: Path, what: str, *places: str) -> Path:
    """Finds a file or folder in the first of several places that has it.

    Args:
        root: the data set's root.
        what: what is looked for, in words.
        places: its possible paths, relative to `root`.

    Raises:
        InputError: it is in none of the places; says what was looked for, what is there, and
            whether a neighbouring folder has it.
    """
    for place in places:
        if (root / place).exists():
            return root / place
    folders = [place.rpartition("/")[0] or "the root" for place in places]
    name = places[0].rpartition("/")[2]
    one_name = len(places) > 1 and all(place.rpartition("/")[2] == name for place in places)
    looked = f"{name} in {' or '.join(folders)}" if one_name else " or ".join(places)
    raise InputError(f"{root}: no {what}; looked for {looked}; {held(root)}{_near(root, places)}")


def held(folder: Path) -> str:
    """What a folder holds, in words, for a message."""
    try:
        names = sorted(name for name in _names(folder) if not name.startswith("."))
    except FileNotFoundError:
        return "there is no such folder"
    except NotADirectoryError:
        return "it is a file, not a folder"
    except OSError as error:
        return f"it cannot be read ({(error.strerror or str(error)).lower()})"
    return f"it holds {some(names)}" if names else "it is empty"


def some(names: Sequence[str]) -> str:
    """The first few of several names, and how many more there are, for a message."""
    shown = [
        name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
        for name in names[:_SHOWN]
    ]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name or "''" for name in shown) + more


def _near(root: Path, places: Iterable[str]) -> str:
    """A hint, for a message, where the folder above or one below has what was looked for."""
    wanted = list(places)
    try:
        below = [entry for entry in sorted(root.iterdir()) if entry.is_dir()]
    except OSError:
        below = []
    for folder in [root.absolute().parent, *below]:
        if any((folder / place).exists() for place in wanted):
            return f"; {folder} has it: give that folder"
    return ""


def read_table(
    path: Path,
    columns: Sequence[str],
    *,
    delimiter: str = ",",
    rest: str | None = None,
    header_lines: int = 1,
) -> pd.DataFrame:
    """Reads columns of a table in a text file; every value is a str without white space around it.

    Args:
        path: the table, in UTF-8, with a header.
        columns: names of the columns; with several header lines, joined by a full stop, as in
            "track.title".
        delimiter: what separates two values.
        rest: name of the table's last column if lines may have several values for it, which then
            become a list.
        header_lines: how many lines the header has.

    Raises:
        InputError: the table cannot be read, lacks a column, or has a line that is too short.
    """
    lines = _lines(path, delimiter)
    header = [line for _, line in islice(lines, header_lines)]
    names = [".".join(parts).strip(". \t") for parts in zip(*header, strict=False)]
    missing = [column for column in columns if column not in names]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(repr(name) for name in missing[:_SHOWN])}; needed: "
            f"{some(columns)}; found: {some(names) or 'an empty file'}"
        )
    places = [names.index(column) for column in columns]
    values: list[list[str | list[str]]] = [[] for _ in columns]
    for number, line in lines:
        if len(line) <= max(places):
            raise InputError(
                f"{path}, line {number}: {len(line)} values; the header has {len(names)}"
            )
        for column, place, into in zip(columns, places, values, strict=True):
            into.append(
                [value.strip() for value in line[place:]] if column == rest else line[place].strip()
            )
    return pd.DataFrame(
        {
            column: pd.Series(kept, dtype=object)
            for column, kept in zip(columns, values, strict=True)
        }
    )


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, values) of each line of a table that is not blank."""
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=delimiter)
            for line in reader:
                if line:
                    yield reader.line_num, line
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable table in UTF-8 ({error})") from error
    finally:
        csv.field_size_limit(limit)


def locate(
    root: Path,
    names: Sequence[str],
    bases: Sequence[str],
    progress: Progress,
    endings: Sequence[str] = ("",),
) -> tuple[list[str], tuple[str, ...]]:
    """Finds audio files in whichever of several folders has most of them.

    Files that are missing have a path, too, so that `prepare` lists each of them.

    Args:
        root: the data set's root.
        names: names of the files, relative to the folder.
        bases: the folders, relative to `root`; "" for the root itself.
        progress: called with (done, total) files.
        endings: what may follow the names, where a data set is distributed in several formats.

    Returns:
        (paths relative to `root`, in the order of `names`; a note on missing files, or nothing).

    Raises:
        InputError: none of the files is in any of the folders.
    """
    listed: dict[str, frozenset[str]] = {}

    def there(path: str) -> bool:
        folder, _, name = path.rpartition("/")
        if folder not in listed:
            listed[folder] = _listed(root / folder)
        return name in listed[folder]

    best, most = [""], 0
    layouts = list(product(bases, endings))
    for number, (base, ending) in enumerate(layouts, start=1):
        paths = [_below(base, name) + ending for name in names]
        count = sum(map(there, paths))
        if count > most:
            best, most = paths, count
        progress(len(names) * number // len(layouts), len(names))
        if most == len(names):
            break
    if not most:
        first = names[0] + " or ".join(endings) if names else "any audio"
        looked = f"{first} and so on, in {' or '.join(base or 'the root' for base in bases)}"
        wanted = [
            _below(base, name) + ending for base, ending in layouts for name in names[:_PROBED]
        ]
        raise InputError(
            f"{root}: none of the {len(names)} audio files; looked for {looked}; {held(root)}"
            f"{_near(root, wanted)}"
        )
    progress(len(names), len(names))
    if most == len(names):
        return best, ()
    first = next(path for path in best if not there(path))
    return best, (
        f"{len(names) - most} of {len(names)} audio files are not there, the first {first}",
    )


def _below(base: str, name: str) -> str:
    """A name below a folder, either of them relative to the root."""
    return f"{base}/{name}" if base else name


def _names(folder: Path) -> frozenset[str]:
    """Names in a folder.

    Raises:
        OSError: it is missing or cannot be read.
    """
    with os.scandir(folder) as entries:
        return frozenset(entry.name for entry in entries)


def _listed(folder: Path) -> frozenset[str]:
    """Names in a folder; none where there is no such folder.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return _names(folder)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error


def shared_groups(tracks: pd.DataFrame, what: str, column: str = "group") -> tuple[str, ...]:
    """A note on how many groups have tracks in more than one split, or nothing where none has.

    Args:
        tracks: of a manifest.
        what: what the groups are, in the plural, such as "artists".
        column: of the groups.
    """
    splits = tracks[tracks["split"] != ""].groupby(column)["split"].nunique()
    shared = int((splits > 1).sum())
    if not shared:
        return ()
    return (
        f"{shared} of {len(splits)} {what} have tracks in more than one split: scores may be too "
        "high",
    )
