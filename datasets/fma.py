"""FMA: up to 106 574 tracks of the Free Music Archive in four sizes, with genres and a split.

Michaël Defferrard, Kirell Benzi, Pierre Vandergheynst and Xavier Bresson, "FMA: a dataset for music
analysis", ISMIR 2017, arXiv:1612.01840.

Root: `fma_metadata/tracks.csv` (two header lines: a table's name above a column's) and
`genres.csv`, and the audio of one size, `fma_SIZE/NNN/NNNNNN.mp3`. Each size holds the smaller
ones; `full` has whole tracks, the others 30 s from their middle. A few clips of each size are cut
short or empty in the archives: `prepare` lists them.

The setting `task` says what a track is labelled with: `genre`, its one top-level genre (8 classes
of equal size in small, 16 in medium); `tags`, all its genres and the genres above them (161 in
large and full); `none`, nothing, for pretraining.

Groups are artists. The split is the official one.
"""

import json
from pathlib import Path
from typing import Literal

import pandas as pd

from bench.data import manifest as contract
from bench.data.manifest import File, InputError, Manifest, Progress

PAPER = "Defferrard et al., ISMIR 2017, arXiv:1612.01840"
COST = "mp3: small 7.2, medium 22, large 93, full 879 GiB; prepared at 16 kHz: 7.7, 24, 102, 950 GB"
HOMEPAGE = "https://github.com/mdeff/fma"
LICENCE = "audio: Creative Commons, each track its own; metadata: CC BY 4.0"
CITATION = (
    "M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson. FMA: A Dataset for Music Analysis. "
    "ISMIR 2017."
)

_SERVER = "https://os.unil.cloud.switch.ch/fma"
_SIZES = ("small", "medium", "large", "full")
# The checksums are in the repository's README, which gives sizes in round GiB only; the exact sizes
# are those that public download scripts got from the server.
FILES = (
    File(
        "fma_metadata.zip",
        f"{_SERVER}/fma_metadata.zip",
        bytes=358_412_441,
        checksum="sha1:f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
        unpack=True,
    ),
    File(
        "fma_small.zip",
        f"{_SERVER}/fma_small.zip",
        bytes=7_679_594_875,
        checksum="sha1:ade154f733639d52e35e32f5593efe5be76c6d70",
        unpack=True,
    ),
    File(
        "fma_medium.zip",
        f"{_SERVER}/fma_medium.zip",
        checksum="sha1:c67b69ea232021025fca9231fc1c7c1a063ab50b",
        unpack=True,
    ),
    File(
        "fma_large.zip",
        f"{_SERVER}/fma_large.zip",
        bytes=100_306_112_191,
        checksum="sha1:497109f4dd721066b5ce5e5f250ec604dc78939e",
        unpack=True,
    ),
    File(
        "fma_full.zip",
        f"{_SERVER}/fma_full.zip",
        checksum="sha1:0f0ace23fbe9ba30ecb7e95f763e435ea802b8ab",
        unpack=True,
    ),
)

PUBLISHED = {
    "small-genre": {"train": 6_400, "valid": 800, "test": 800, "tags": 8},
    "medium-genre": {"train": 19_922, "valid": 2_505, "test": 2_573, "tags": 16},
    "large-tags": {"train": 84_353, "valid": 11_263, "test": 10_958, "tags": 161},
    "full-tags": {"train": 84_353, "valid": 11_263, "test": 10_958, "tags": 161},
    "small-unlabelled": {"train": 6_400, "valid": 800, "test": 800, "tags": 0},
    "medium-unlabelled": {"train": 19_922, "valid": 2_505, "test": 2_573, "tags": 0},
    "large-unlabelled": {"train": 84_353, "valid": 11_263, "test": 10_958, "tags": 0},
    "full-unlabelled": {"train": 84_353, "valid": 11_263, "test": 10_958, "tags": 0},
}
PUBLISHED_IN = "the paper, arXiv:1612.01840v3, and fma_metadata/tracks.csv"

_SPLITS = {"training": "train", "validation": "valid", "test": "test"}
_COLUMNS = {
    "": "track_id",
    "set.split": "split",
    "set.subset": "subset",
    "artist.id": "group",
    "artist.name": "artist",
    "album.title": "album",
    "track.title": "title",
    "track.genre_top": "genre_top",
    "track.genres_all": "genres_all",
}


class Settings(contract.Settings):
    """Which size and which labels.

    Attributes:
        size: "small" (8 000 tracks), "medium" (25 000), "large" (106 574 clips) or "full" (the
            same, untrimmed).
        task: "genre" (one top-level genre a track), "tags" (all its genres) or "none" (unlabelled).
    """

    size: Literal["small", "medium", "large", "full"] = "small"
    task: Literal["genre", "tags", "none"] = "genre"


def files(settings: Settings) -> tuple[File, ...]:
    """What to download for these settings."""
    return tuple(
        file for file in FILES if file.name in ("fma_metadata.zip", f"fma_{settings.size}.zip")
    )


def manifest(root: Path, settings: Settings, progress: Progress) -> Manifest:
    """Reads the metadata and looks for the tracks' files.

    Raises:
        InputError: a table or all audio is missing, or a table is not as published.
    """
    path = contract.find(root, "metadata", "fma_metadata/tracks.csv", "tracks.csv")
    tracks = _tracks(path, settings.size)
    notes: list[str] = []
    if settings.task == "genre":
        unknown = tracks["genre_top"] == ""
        if unknown.any():
            notes.append(
                f"{int(unknown.sum())} of {len(tracks)} tracks have no single top-level genre "
                "and are left out"
            )
        tracks = tracks[~unknown].reset_index(drop=True)
        tracks["tags"] = [[genre] for genre in tracks["genre_top"]]
    elif settings.task == "tags":
        tracks["tags"] = _genres(
            tracks, path, _titles(contract.find(path.parent, "names of the genres", "genres.csv"))
        )
    else:
        tracks["tags"] = [[] for _ in range(len(tracks))]
    names = [f"{int(track) // 1000:03}/{int(track):06}.mp3" for track in tracks["track_id"]]
    folder = f"fma_{settings.size}"
    tracks["path"], missing = contract.locate(root, names, (folder, f"{folder}/{folder}"), progress)
    return Manifest(
        tracks=tracks.drop(columns=["genres_all"]),
        tags=tuple(sorted({tag for several in tracks["tags"] for tag in several})),
        kind="classes" if settings.task == "genre" else "tags",
        split_name=f"{settings.size}-{'unlabelled' if settings.task == 'none' else settings.task}",
        notes=(*notes, *missing, *contract.shared_groups(tracks, "artists")),
    )


def _tracks(path: Path, size: str) -> pd.DataFrame:
    """The rows of one size, with the columns of _COLUMNS and the harness's names of splits."""
    table = contract.read_table(path, tuple(_COLUMNS), header_lines=2).rename(columns=_COLUMNS)
    # pandas, which wrote the table, added a third header line with the name of its index.
    table = table[table["track_id"] != "track_id"]
    wanted = _SIZES[: _SIZES.index(size) + 1]
    # A track's subset is the smallest size that it is in. Large and full have the same tracks.
    tracks = table if size in ("large", "full") else table[table["subset"].isin(wanted)]
    if tracks.empty:
        raise InputError(f"{path}: no tracks of the size '{size}' among {len(table)}")
    strange = tracks[
        ~(tracks["split"].isin(list(_SPLITS)) & tracks["track_id"].str.fullmatch("[0-9]+"))
    ]
    if len(strange):
        first = strange.iloc[0]
        raise InputError(
            f"{path}: track '{first['track_id']}' has split '{first['split']}'; known: "
            f"{', '.join(_SPLITS)}"
        )
    twice = tracks["track_id"][tracks["track_id"].duplicated()]
    if len(twice):
        raise InputError(f"{path}: track {twice.iloc[0]} stands twice")
    return tracks.assign(split=tracks["split"].map(_SPLITS)).reset_index(drop=True)


def _titles(path: Path) -> dict[int, str]:
    """Number of each genre -> its name, followed by the number where several share the name."""
    table = contract.read_table(path, ("genre_id", "title"))
    twice = table["title"].duplicated(keep=False)
    names = table["title"].where(~twice, table["title"] + " (" + table["genre_id"] + ")")
    return {int(number): name for number, name in zip(table["genre_id"], names, strict=True)}


def _genres(tracks: pd.DataFrame, path: Path, titles: dict[int, str]) -> list[list[str]]:
    """Names of all genres of each track, sorted.

    Args:
        tracks: the rows of `_tracks`.
        path: of their table, for messages.
        titles: number of a genre -> its name.
    """
    try:
        return [
            sorted(titles[number] for number in json.loads(several))
            for several in tracks["genres_all"]
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: track.genres_all has a value that is no list of known genres ({error})"
        ) from error
