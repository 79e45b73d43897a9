"""MSD: 241 889 tracks of the Million Song Dataset with the 50 most frequent Last.fm tags.

No audio is distributed: the user provides it. Thierry Bertin-Mahieux, Daniel Ellis, Brian Whitman
and Paul Lamere, "The Million Song Dataset", ISMIR 2011. The split: Keunwoo Choi, George Fazekas and
Mark Sandler, "Automatic tagging using deep convolutional neural networks", ISMIR 2016, without the
previews below 29.1 s, which Jongpil Lee removed (SampleCNN, SMC 2017): 201 680 / 11 774 / 28 435
tracks.

Root:

- the split lists, `train`, `valid` and `test` (or `filtered_list_train` and so on), each `.txt`,
  `.csv` or `.tsv` (the id first on each line) or `.npy` (an array of strings). A train list of
  213 454 ids without a valid list is divided as in published work, with the first 201 680 for
  training and the rest as valid. The published lists, `filtered_list_*.cP`, are pickles; opening a
  pickle runs whatever code it holds, so they are not read here. INSTRUCTIONS says how to make text
  of them safely.
- the tags: `tags.csv` (columns msd_id and tags, with | between tags), or Last.fm's
  `lastfm_tags.db`, of which those of the 50 tags count that have at least the weight
  `least_weight`.
- the audio: `paths.csv` (columns msd_id and path, relative to the root).
- optionally `unique_tracks.txt` of the MSD, for artists and titles. Artists are the groups. The
  usual split does not keep them apart; a note of the manifest says how many have tracks in two
  splits.

Lists other than the published ones are another split, whose name has a digest of the ids.
"""

import hashlib
import re
import sqlite3
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from bench.data import manifest as contract
from bench.data.manifest import SPLITS, File, InputError, Manifest, Progress

PAPER = "Bertin-Mahieux et al., ISMIR 2011; Choi et al., ISMIR 2016"
COST = "audio of one's own; 230 GB prepared at 16 kHz from previews of 30 s"
HOMEPAGE = "http://millionsongdataset.com/lastfm"
LICENCE = "tags: for research, non-commercial (Last.fm); no audio is distributed"
CITATION = (
    "T. Bertin-Mahieux, D. P. W. Ellis, B. Whitman, P. Lamere. The Million Song Dataset. ISMIR "
    "2011."
)

# Neither sizes nor checksums are published.
_SERVER = "http://millionsongdataset.com/sites/default/files"
FILES = (
    File("lastfm_tags.db", f"{_SERVER}/lastfm/lastfm_tags.db"),
    File("unique_tracks.txt", f"{_SERVER}/AdditionalFiles/unique_tracks.txt"),
)

INSTRUCTIONS = """\
1. Audio of the Million Song Dataset is not distributed. Write paths.csv (columns msd_id,path) for \
the audio you have.
2. Get filtered_list_train.cP and filtered_list_test.cP from \
github.com/jongpillee/music_dataset_split (MSD_split) and
   make text of each. pickletools reads what a pickle says without doing it:
   python -c "import pickletools, sys; \
print(*[s for _, s, _ in pickletools.genops(sys.stdin.buffer) if \
isinstance(s, str)], sep='\\n')" < filtered_list_train.cP > filtered_list_train.txt
"""

PUBLISHED = {"lee": {"train": 201_680, "valid": 11_774, "test": 28_435, "tags": 50}}
PUBLISHED_IN = "github.com/jongpillee/music_dataset_split (MSD_split)"

TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s",
    "alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists", "classic rock",
    "soul", "indie rock", "Mellow", "electronica", "80s", "folk", "90s", "chill", "instrumental",
    "punk", "oldies", "blues", "hard rock", "ambient", "acoustic", "experimental",
    "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening", "sexy",
    "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop",
    "sad", "House", "happy",
)  # fmt: skip
"""The 50 tags in the order, and the spelling, of 50tagList.txt."""

_ID = re.compile("TR[A-Z]{5}[0-9A-F]{11}")
_ENDINGS = (".txt", ".csv", ".tsv", ".npy")


class Settings(contract.Settings):
    """How tags are read from lastfm_tags.db.

    Attributes:
        least_weight: a track's tag counts if Last.fm gives it at least this weight, 0 to 100. Which
            weight the published tags were made with is not documented; 0 takes every tag.
    """

    least_weight: float = Field(0.0, ge=0, le=100)


def manifest(root: Path, settings: Settings, progress: Progress) -> Manifest:
    """Reads the lists, the tags and the paths, and looks for the tracks' files.

    Raises:
        InputError: one of the files is missing or is not of the form described above.
    """
    notes: list[str] = []
    ids = _split(root, notes)
    paths = _mapping(contract.find(root, "table of audio files", "paths.csv"), "path")
    rows = [(track, split) for split in SPLITS for track in ids[split] if track in paths]
    listed = sum(len(ids[split]) for split in SPLITS)
    if not rows:
        raise InputError(
            f"{root / 'paths.csv'}: none of its {len(paths)} ids is in the lists of {listed}"
        )
    if len(rows) < listed:
        notes.append(f"{listed - len(rows)} of {listed} tracks have no audio in paths.csv")
    tracks = pd.DataFrame(rows, columns=["track_id", "split"])
    tracks["path"], missing = contract.locate(
        root, [paths[track] for track in tracks["track_id"]], ("",), progress
    )
    given = _tags(root, settings.least_weight, notes)
    tracks["tags"] = [
        [tag for tag in TAGS if tag in given.get(track, ())] for track in tracks["track_id"]
    ]
    untagged = int((tracks["tags"].map(len) == 0).sum())
    if untagged == len(tracks):
        raise InputError(f"{root}: no track has one of the 50 tags ({contract.some(TAGS)})")
    if untagged:
        notes.append(f"{untagged} of {len(tracks)} tracks have none of the 50 tags")
    tracks = _described(root, tracks, notes)
    notes += [*missing, *contract.shared_groups(tracks, "artists")]
    return Manifest(tracks, TAGS, "tags", _split_name(ids), tuple(notes))


def _split_name(ids: dict[str, list[str]]) -> str:
    """The name of the published split where the lists are as long as its own; else of a digest."""
    if all(len(ids[split]) == PUBLISHED["lee"][split] for split in SPLITS):
        return "lee"
    text = "\n".join(f"{split} {track}" for split in SPLITS for track in sorted(ids[split]))
    return f"own-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _split(root: Path, notes: list[str]) -> dict[str, list[str]]:
    """The ids of each split, in the order of the lists.

    Adds a note to `notes` where the valid list is cut from the train list.

    Raises:
        InputError: a list is missing, cannot be read, or has an id that another list has, too.
    """
    train = _list(_list_path(root, "train"))
    cut, total = PUBLISHED["lee"]["train"], PUBLISHED["lee"]["train"] + PUBLISHED["lee"]["valid"]
    if len(train) == total and not any(map(Path.exists, _list_paths(root, "valid"))):
        notes.append(
            f"no valid list: the first {cut} of the {total} train ids train, the rest are valid, "
            "as published"
        )
        train, valid = train[:cut], train[cut:]
    else:
        valid = _list(_list_path(root, "valid"))
    ids = {"train": train, "valid": valid, "test": _list(_list_path(root, "test"))}
    split_of: dict[str, str] = {}
    for split in SPLITS:
        for track in ids[split]:
            if track in split_of:
                raise InputError(
                    f"{root}: {track} stands twice, in the {split_of[track]} and the {split} list"
                )
            split_of[track] = split
    return ids


def _list_paths(root: Path, split: str) -> list[Path]:
    """Every path that a split's list may have."""
    return [
        root / f"{prefix}{split}{ending}"
        for prefix in ("", "filtered_list_")
        for ending in _ENDINGS
    ]


def _list_path(root: Path, split: str) -> Path:
    """The path of a split's list.

    Raises:
        InputError: there is none, or only the published pickle.
    """
    places = [path.name for path in _list_paths(root, split)]
    pickle = root / f"filtered_list_{'test' if split == 'test' else 'train'}.cP"
    if pickle.exists() and not any((root / place).exists() for place in places):
        raise InputError(
            f"{pickle}: a pickle, which runs code when it is opened, is not read; give the ids as "
            f"filtered_list_{split}.txt, one a line (INSTRUCTIONS of the data set say how)"
        )
    return contract.find(root, f"{split} list", *places)


def _list(path: Path) -> list[str]:
    """The ids of a list; the first line of a text may be a header."""
    try:
        if path.suffix == ".npy":
            array = np.load(path, allow_pickle=False)
            ids = [
                value.decode() if isinstance(value, bytes) else str(value)
                for value in array.ravel().tolist()
            ]
        else:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            ids = [
                re.split(r"[,\t ]", line.strip(), maxsplit=1)[0].strip('"')
                for line in lines
                if line.strip()
            ]
            if ids and not _ID.fullmatch(ids[0]):
                del ids[0]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a list of ids ({error})") from error
    wrong = [track for track in ids if not _ID.fullmatch(track)]
    if wrong or not ids:
        raise InputError(
            f"{path}: '{wrong[0] if wrong else ''}' is not an id of the MSD, such as "
            "TRAAAAK128F9318786"
        )
    return ids


def _mapping(path: Path, column: str) -> dict[str, str]:
    """Id of each track of a table -> its value in a column."""
    table = contract.read_table(path, ("msd_id", column))
    twice = table["msd_id"][table["msd_id"].duplicated()]
    if len(twice):
        raise InputError(f"{path}: {twice.iloc[0]} stands twice")
    return dict(zip(table["msd_id"], table[column], strict=True))


def _tags(root: Path, least_weight: float, notes: list[str]) -> dict[str, set[str]]:
    """Id of each track that has tags -> its tags, of which some may be none of the 50."""
    path = contract.find(root, "tags", "tags.csv", "lastfm_tags.db")
    if path.suffix == ".db":
        return _lastfm(path, least_weight)
    if (root / "lastfm_tags.db").exists():
        notes.append("tags are those of tags.csv; lastfm_tags.db is there too and was not read")
    return {
        track: {tag.strip() for tag in text.split("|")}
        for track, text in _mapping(path, "tags").items()
    }


def _lastfm(path: Path, least_weight: float) -> dict[str, set[str]]:
    """Id of each track -> those of the 50 tags that have the weight, from Last.fm's database."""
    query = (
        "SELECT tids.tid, tags.tag FROM tid_tag JOIN tids ON tids.ROWID = tid_tag.tid "
        "JOIN tags ON tags.ROWID = tid_tag.tag "
        f"WHERE tid_tag.val >= ? AND tags.tag IN ({', '.join('?' * len(TAGS))})"
    )
    tags_of: dict[str, set[str]] = defaultdict(set)
    try:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            for track, tag in database.execute(query, (least_weight, *TAGS)):
                tags_of[track].add(tag)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise InputError(
            f"{path}: cannot be read as Last.fm's database of tags ({error})"
        ) from error
    return tags_of


def _described(root: Path, tracks: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Adds artist and title, and the artist as the group, where unique_tracks.txt is there."""
    path = root / "unique_tracks.txt"
    about: dict[str, tuple[str, str]] = {}
    if path.exists():
        # The file mixes encodings. That does no harm: a name is only ever compared with itself.
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            values = line.split("<SEP>")
            if len(values) == 4:
                about[values[0]] = (values[2], values[3])
    known = [about.get(track, ("", "")) for track in tracks["track_id"]]
    artists = [artist for artist, _ in known]
    groups = [
        artist or f"track:{track}"
        for artist, track in zip(artists, tracks["track_id"], strict=True)
    ]
    if "" in artists:
        lacking = "unique_tracks.txt is not there" if not about else "unique_tracks.txt lacks some"
        notes.append(
            f"{artists.count('')} tracks have no artist ({lacking}): each is a group of its own"
        )
    return tracks.assign(artist=artists, title=[title for _, title in known], group=groups)
