"""MTG-Jamendo: 55 000 full tracks with 195 tags of genre, instrument, mood and theme.

Dmitry Bogdanov, Minz Won, Philip Tovstogan, Alastair Porter and Xavier Serra, "The MTG-Jamendo
dataset for automatic music tagging", Machine Learning for Music Discovery Workshop, ICML 2019.

Root: the repository's `data/splits/split-N/*.tsv`, and the audio in `audio/NN/NNNN.mp3` (as
published, up to 320 kbit/s) or `audio-low/NN/NNNN.low.mp3` (a second distribution, a third of the
size). The lines of the tables differ in length, with one value for each tag of the track at their
end, and end with CR LF.

Groups are artists; none has tracks in two splits. Tags keep their category ("genre---rock") and are
sorted, which is the order of the published lists `tags/top50.txt` and `tags/moodtheme_split.txt`;
for genre and instrument no list is published.
"""

from itertools import product
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from bench.data import manifest as contract
from bench.data.manifest import File, InputError, Manifest, Progress

PAPER = "Bogdanov et al., ICML workshop 2019"
COST = "508 GB of mp3, or about a third of it with low bit rate; 430 GB prepared at 16 kHz"
HOMEPAGE = "https://github.com/MTG/mtg-jamendo-dataset"
LICENCE = "audio: Creative Commons, each track its own; metadata: CC BY-NC-SA 4.0"
CITATION = (
    "D. Bogdanov, M. Won, P. Tovstogan, A. Porter, X. Serra. The MTG-Jamendo dataset for automatic "
    "music tagging. Machine Learning for Music Discovery Workshop, ICML 2019."
)

_TASKS = {
    "top50": "top50tags",
    "genre": "genre",
    "instrument": "instrument",
    "moodtheme": "moodtheme",
}
_SPLITS = {"train": "train", "valid": "validation", "test": "test"}
_FOLDS = range(5)
_REPOSITORY = "https://raw.githubusercontent.com/MTG/mtg-jamendo-dataset/master/data"
_SERVER = "https://cdn.freesound.org/mtg-jamendo/raw_30s"


def _table(task: str, fold: int, split: str) -> str:
    """Path of a split's table below the repository's folder `data`."""
    return f"splits/split-{fold}/autotagging_{_TASKS[task]}-{_SPLITS[split]}.tsv"


def _audio(folder: str) -> tuple[File, ...]:
    """The files of one distribution of the audio: its hundred archives and their checksums."""
    digests = f"raw_30s_{folder}_sha256_tars.txt"
    archives = [f"raw_30s_{folder}-{number:02}.tar" for number in range(100)]
    return (
        File(f"{folder}/{digests}", f"{_REPOSITORY}/download/{digests}"),
        *(
            File(
                f"{folder}/{name}",
                f"{_SERVER}/{folder}/{name}",
                listed_in=f"{folder}/{digests}",
                unpack=True,
            )
            for name in archives
        ),
    )


# No sizes of the archives are published, and no checksums of the tables; PUBLISHED has what they
# count.
_TABLES = {
    (task, fold): tuple(
        File(f"data/{_table(task, fold, split)}", f"{_REPOSITORY}/{_table(task, fold, split)}")
        for split in _SPLITS
    )
    for task, fold in product(_TASKS, _FOLDS)
}
_AUDIO = {"full": _audio("audio"), "low": _audio("audio-low")}
FILES = tuple(file for group in (*_TABLES.values(), *_AUDIO.values()) for file in group)

PUBLISHED = {
    "top50-split-0": {"train": 32_136, "valid": 10_888, "test": 11_356, "tags": 50},
    "genre-split-0": {"train": 32_572, "valid": 11_043, "test": 11_479, "tags": 87},
    "instrument-split-0": {"train": 14_395, "valid": 5_466, "test": 5_115, "tags": 40},
    "moodtheme-split-0": {"train": 9_949, "valid": 3_802, "test": 4_231, "tags": 56},
}
PUBLISHED_IN = "github.com/MTG/mtg-jamendo-dataset (data/splits/split-0)"


class Settings(contract.Settings):
    """Which tags, which split, which audio.

    Attributes:
        task: "top50", "genre" (87 tags), "instrument" (40) or "moodtheme" (56).
        fold: which of the five published splits; published scores are of split 0.
        audio: "full", or "low" for the distribution with a low bit rate; the scores of the two
            differ.
    """

    task: Literal["top50", "genre", "instrument", "moodtheme"] = "top50"
    fold: int = Field(0, ge=0, le=4)
    audio: Literal["full", "low"] = "full"


def files(settings: Settings) -> tuple[File, ...]:
    """What to download for these settings."""
    return _TABLES[settings.task, settings.fold] + _AUDIO[settings.audio]


def manifest(root: Path, settings: Settings, progress: Progress) -> Manifest:
    """Reads the three tables of the split and looks for the tracks' files.

    Raises:
        InputError: a table or all audio is missing, or a table is not as published.
    """
    tracks = pd.concat([_read(root, settings, split) for split in _SPLITS], ignore_index=True)
    if tracks["track_id"].duplicated().any():
        twice = tracks["track_id"][tracks["track_id"].duplicated()].iloc[0]
        raise InputError(
            f"{root}: {twice} stands twice in split {settings.fold} of {settings.task}"
        )
    tracks["path"], missing = _locate(root, tracks["path"].tolist(), settings.audio, progress)
    tags = tuple(sorted({tag for several in tracks["tags"] for tag in several}))
    notes = (*missing, *contract.shared_groups(tracks, "artists"))
    return Manifest(tracks, tags, "tags", f"{settings.task}-split-{settings.fold}", notes)


def _read(root: Path, settings: Settings, split: str) -> pd.DataFrame:
    """The tracks of one split, with paths as the table has them."""
    name = _table(settings.task, settings.fold, split)
    bare = name.removeprefix("splits/")
    path = contract.find(
        root, "table", f"data/{name}", name, bare, f"mtg-jamendo-dataset/data/{name}"
    )
    columns = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
    table = contract.read_table(path, columns, delimiter="\t", rest="TAGS")
    return pd.DataFrame({
        "track_id": table["TRACK_ID"],
        "path": table["PATH"],
        "split": split,
        "tags": [sorted({tag for tag in several if tag}) for several in table["TAGS"]],
        "group": table["ARTIST_ID"],
        "album": table["ALBUM_ID"],
        "duration_seconds": pd.to_numeric(table["DURATION"], errors="coerce"),
    })  # fmt: skip


def _locate(
    root: Path, paths: list[str], audio: str, progress: Progress
) -> tuple[list[str], tuple[str, ...]]:
    """Paths of the audio below the root, and a note on missing files.

    Args:
        root: the data set's root.
        paths: of the tracks, as the tables have them.
        audio: "full" or "low".
        progress: see `contract.locate`.

    Raises:
        InputError: the audio is not there; says so where the other distribution is.
    """
    places = {
        "full": ("audio", "raw_30s/audio", ""),
        "low": ("audio-low", "raw_30s/audio-low", "audio", ""),
    }
    names = {"full": paths, "low": [path.removesuffix(".mp3") + ".low.mp3" for path in paths]}
    try:
        return contract.locate(root, names[audio], places[audio], progress)
    except InputError as error:
        other = "low" if audio == "full" else "full"
        try:
            contract.locate(root, names[other], places[other], progress)
        except InputError:
            raise error from None
        raise InputError(
            f"{error}; the audio there is the other distribution: set audio to '{other}'"
        ) from None
