"""MagnaTagATune: 25 863 clips of 29 s with 50 tags that listeners gave in a game.

Edith Law, Kris West, Michael Mandel, Mert Bay and J. Stephen Downie,
"Evaluation of algorithms using games: the case of music tagging", ISMIR 2009.

Root: `annotations_final.csv`, `clip_info_final.csv` and the folders `0` to `f` of the three joined
archives, at the root or in `mp3/`. The tags are the 50 most frequent of the 188 raw ones: synonyms
("female", "female vocal", "female voice", "woman") stay separate outputs, as in all published work
on these splits.

The two published splits, of Pons and of Lee, both follow the folders: 0 to b train, c valid, d to f
test. They differ in which clips they keep:

- `pons` (used by musicnn, CLMR, TUNe): every clip, also the 296 valid and 997 test clips without
  any of the 50 tags.
- `lee` (used by Deezer, CoJEPA): only clips with one of the 50 tags and of at least 29.1 s. The
  only shorter ones are three whose file in the archive is empty; `pons` keeps these three, and
  `prepare` lists them as unreadable.

Scores of the two are not comparable: the untagged test clips lower macro average precision by
several points.

Groups are albums, none of which has tracks in two splits. Some artists have: a note of the manifest
says how many.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bench.data import manifest as contract
from bench.data.manifest import File, InputError, Manifest, Progress

PAPER = "Law et al., ISMIR 2009"
COST = "3.0 GB of mp3; 24 GB prepared at 16 kHz"
HOMEPAGE = "https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset"
LICENCE = "audio: CC BY-NC-SA 1.0 (Magnatune); annotations: for research"
CITATION = (
    "E. Law, K. West, M. Mandel, M. Bay, J. S. Downie. Evaluation of algorithms using games: the "
    "case of music tagging. ISMIR 2009."
)

_SERVER = "https://mirg.city.ac.uk/datasets/magnatagatune"
# The server publishes no checksums; the sizes are those that public download scripts test for.
FILES = (
    File("annotations_final.csv", f"{_SERVER}/annotations_final.csv"),
    File("clip_info_final.csv", f"{_SERVER}/clip_info_final.csv"),
    File(
        "mp3.zip.001", f"{_SERVER}/mp3.zip.001", bytes=1_100_000_000, unpack=True, part_of="mp3.zip"
    ),
    File(
        "mp3.zip.002", f"{_SERVER}/mp3.zip.002", bytes=1_100_000_000, unpack=True, part_of="mp3.zip"
    ),
    File(
        "mp3.zip.003", f"{_SERVER}/mp3.zip.003", bytes=772_769_864, unpack=True, part_of="mp3.zip"
    ),
)

PUBLISHED = {
    # Three of the train clips have an empty file, so 18 706 can be read.
    "pons": {"train": 18_709, "valid": 1_825, "test": 5_329, "tags": 50},
    "lee": {"train": 15_244, "valid": 1_529, "test": 4_332, "tags": 50},
}
PUBLISHED_IN = (
    "github.com/jordipons/musicnn-training (data/index/mtt) and "
    "github.com/jongpillee/music_dataset_split"
)

TAGS = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast",
    "piano", "ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male",
    "singing", "vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman",
    "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man", "classic", "choir", "voice",
    "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello", "no voice",
    "weird", "country", "metal", "female voice", "choral",
)  # fmt: skip
"""The 50 tags in the order of Pons's list; in Lee's, "metal" and "female voice" change places."""

_SPLIT_OF_FOLDER = (
    dict.fromkeys("0123456789ab", "train") | {"c": "valid"} | dict.fromkeys("def", "test")
)
# Paths of the clips whose file in the archive is empty.
_EMPTY = {
    "6/norine_braun-now_and_zen-08-gently-117-146.mp3",
    "8/jacob_heringman-josquin_des_prez_lute_settings-19-gintzler__pater_noster-204-233.mp3",
    "9/american_baroque-dances_and_suites_of_rameau_and_couperin-25-"
    "le_petit_rien_xiveme_ordre_couperin-88-117.mp3",
}
# Column of clip_info_final.csv -> column of the manifest.
_ABOUT = {"title": "title", "artist": "artist", "album": "album", "url": "url"}
_ABOUT |= {"segmentStart": "segment_start_seconds", "segmentEnd": "segment_end_seconds"}


class Settings(contract.Settings):
    """Which of the two published splits.

    Attributes:
        split: "lee", without the clips that have none of the 50 tags, or "pons", with them.
    """

    split: Literal["lee", "pons"] = "lee"


def manifest(root: Path, settings: Settings, progress: Progress) -> Manifest:
    """Reads the two tables and looks for the clips' files.

    Raises:
        InputError: a table or all audio is missing, or a table is not as published.
    """
    annotations = contract.find(root, "annotations", "annotations_final.csv")
    table = contract.read_table(annotations, ("clip_id", *TAGS, "mp3_path"), delimiter="\t")
    about = contract.find(root, "clip metadata", "clip_info_final.csv")
    info = contract.read_table(about, ("clip_id", *_ABOUT), delimiter="\t")
    notes: list[str] = []
    tracks = _tracks(table, annotations)
    if settings.split == "lee":
        tracks = _lee(tracks, notes)
    paths, missing = contract.locate(root, tracks["path"].tolist(), ("", "mp3"), progress)
    tracks["path"] = paths
    tracks = _described(tracks, info, notes)
    notes += [
        *missing,
        *contract.shared_groups(tracks, "albums"),
        *contract.shared_groups(tracks, "artists", "artist"),
    ]
    return Manifest(tracks, _tag_order(settings.split), "tags", settings.split, tuple(notes))


def _tracks(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """One row a clip, in the order of the table, with its split and tags."""
    given = table[list(TAGS)].to_numpy()
    if not np.isin(given, ("0", "1")).all():
        row, column = np.argwhere(~np.isin(given, ("0", "1")))[0]
        raise InputError(
            f"{path}: clip {table['clip_id'][row]}, tag '{TAGS[column]}': '{given[row, column]}' "
            "is not 0 or 1"
        )
    tracks = pd.DataFrame({
        "track_id": table["clip_id"],
        "path": table["mp3_path"],
        "split": table["mp3_path"].str.split("/").str[0].map(_SPLIT_OF_FOLDER),
        "tags": [[TAGS[place] for place in np.flatnonzero(row)] for row in given == "1"],
    })  # fmt: skip
    if tracks["split"].isna().any():
        wrong = tracks["path"][tracks["split"].isna()].iloc[0]
        raise InputError(
            f"{path}: mp3_path '{wrong}' is in none of the folders 0 to f, which the split follows"
        )
    twice = tracks["track_id"][tracks["track_id"].duplicated()]
    if len(twice):
        raise InputError(f"{path}: clip {twice.iloc[0]} stands twice")
    return tracks


def _lee(tracks: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The clips of Lee's split; adds a note on those left out to `notes`."""
    untagged, empty = tracks["tags"].map(len) == 0, tracks["path"].isin(_EMPTY)
    notes.append(
        f"not in Lee's split: {int(untagged.sum())} clips without any of the 50 tags, "
        f"{int((empty & ~untagged).sum())} with an empty file"
    )
    return tracks[~untagged & ~empty].reset_index(drop=True)


def _described(tracks: pd.DataFrame, info: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Adds the columns of clip_info_final.csv, and the album as the group."""
    known = info.drop_duplicates("clip_id").set_index("clip_id").reindex(tracks["track_id"])
    for column, name in _ABOUT.items():
        tracks[name] = known[column].fillna("").to_numpy()
    for name in ("segment_start_seconds", "segment_end_seconds"):
        tracks[name] = pd.to_numeric(tracks[name], errors="coerce")
    nameless = tracks["album"] == ""
    if nameless.any():
        notes.append(
            f"{int(nameless.sum())} clips have no album in clip_info_final.csv: each is a group of "
            "its own"
        )
    tracks["group"] = (tracks["artist"] + " / " + tracks["album"]).where(
        ~nameless, "clip:" + tracks["track_id"]
    )
    return tracks


def _tag_order(split: str) -> tuple[str, ...]:
    """The 50 tags in the order of a split's published list."""
    swapped = {"metal": "female voice", "female voice": "metal"}
    return tuple(swapped.get(tag, tag) for tag in TAGS) if split == "lee" else TAGS
