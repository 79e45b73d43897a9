"""Tiny trees in the file layout of each real data set, with its quirks and short audio files.

Every function writes a tree into a folder that does not exist yet, and returns the folder. `TREES`
has, for each data set, its function and the settings that its tree can be read with. Everything is
made up except the names of columns, folders and tags.
"""

import csv
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import soundfile

from bench.core import registry
from tests.conftest import RATE, tone

SECONDS = 1.0
EMPTY = "6/norine_braun-now_and_zen-08-gently-117-146.mp3"
CLIP_INFO = ["clip_id", "track_number", "title", "artist", "album", "url"]
CLIP_INFO += ["segmentStart", "segmentEnd", "original_url", "mp3_path"]


def put(path: Path, number: int = 0) -> Path:
    """Writes a short audio file in the format that its ending says.

    There are three tones of each format; each is encoded once, and hard links are made to it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = path.suffix.lower()
    original = _shelf(path) / f"{number % 3}{ending}"
    if not original.exists():
        original.parent.mkdir(parents=True, exist_ok=True)
        audio = tone(200.0 * (number % 3 + 1), SECONDS, number % 3)
        container = {".aif": "AIFF", ".opus": "OGG"}.get(ending)
        subtype = "OPUS" if ending == ".opus" else None
        soundfile.write(original, audio, RATE, format=container, subtype=subtype)
    os.link(original, path)
    return path


_shelves: dict[Path, Path] = {}


def _shelf(path: Path) -> Path:
    """A folder outside the tree, on the same disk, with the files that are linked to."""
    root = next(folder for folder in path.parents if folder in _shelves)
    return _shelves[root]


def _start(root: Path) -> Path:
    """Makes the root of a tree."""
    root.mkdir(parents=True)
    _shelves[root] = root.parent / f"{root.name}-audio"
    return root


def _write(
    path: Path,
    lines: Iterable[Sequence[object]],
    delimiter: str = ",",
    quoting: Literal[0, 1, 2, 3] = csv.QUOTE_MINIMAL,
    end: str = "\n",
) -> Path:
    """Writes a table as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(lines)
    return path


def magnatagatune(root: Path) -> Path:
    """MagnaTagATune: quoted tables, with more tags than the fifty.

    clip_info has a clip without annotations; one audio file is empty, and one is missing.
    """
    _start(root)
    tags = registry.load("datasets", "magnatagatune").TAGS
    columns = sorted([*tags, "no singer", "female singing", "hard rock"])
    # folder, artist, album, title, tags
    clips = [
        ("0", "Ensemble A", "First", 'Dance, "La Rotta"', {"guitar", "classical"}),
        ("0", "Ensemble A", "First", 'Dance, "La Rotta"', {"guitar"}),
        ("0", "Ensemble A", "First", "Aria", {"hard rock"}),
        ("4", "Band B", "Loud", "Noise", {"rock", "metal", "female voice"}),
        ("b", "Band C", "Soft", "Quiet", {"soft", "no vocals"}),
        ("c", "Band D", "One", "Käse", {"rock", "guitar"}),
        ("c", "Band D", "One", "Käse", set()),
        ("d", "Band E", "Two", "Two", {"techno"}),
        ("e", "Ensemble A", "Second", "Gigue", {"classical", "strings"}),
        ("f", "Band F", "Three", "Trio", {"choral"}),
        ("f", "Band F", "Three", "Trio", set()),
    ]
    annotations: list[list[object]] = [["clip_id", *columns, "mp3_path"]]
    info: list[list[object]] = [list(CLIP_INFO)]
    info.append([1, 1, "gone", "Nobody", "Nowhere", "", 0, 29, "", ""])
    for number, (folder, artist, album, title, given) in enumerate(clips):
        name = f"{artist} {album} {number}".lower().replace(" ", "_")
        path = f"{folder}/{name}-{29 * number}-{29 * number + 29}.mp3"
        annotations.append([2 + 4 * number, *(int(tag in given) for tag in columns), path])
        url = f"http://he3.magnatune.com/{name}"
        info.append(
            [2 + 4 * number, 1, title, artist, album, url, 29 * number, 29 * number + 29, url, path]
        )
        if number != 4:
            put(root / path, number)
    annotations.append([35_644, *(int(tag == "guitar") for tag in columns), EMPTY])
    info.append([35_644, 8, "Gently", "Norine Braun", "Now and Zen", "", 117, 146, "", EMPTY])
    (root / EMPTY).parent.mkdir()
    (root / EMPTY).touch()
    _write(root / "annotations_final.csv", annotations, "\t", csv.QUOTE_ALL)
    _write(root / "clip_info_final.csv", info, "\t", csv.QUOTE_ALL)
    return root


JAMENDO_TAGS = {
    "top50tags": ["genre---rock", "genre---pop", "instrument---piano", "mood/theme---happy"],
    "genre": ["genre---rock", "genre---pop", "genre---jazz"],
    "instrument": ["instrument---piano", "instrument---voice"],
    "moodtheme": ["mood/theme---happy", "mood/theme---sad"],
}


def jamendo(root: Path) -> Path:
    """MTG-Jamendo: lines with one value for each tag at their end, which end with CR LF.

    It has both distributions of the audio; one file is missing.
    """
    _start(root)
    for task, tags in JAMENDO_TAGS.items():
        number = 0
        for split, count in (("train", 6), ("validation", 3), ("test", 3)):
            lines: list[list[object]] = [
                ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]
            ]
            for _ in range(count):
                track = 214 + 53 * number
                given = (tags + tags)[number % len(tags) :][: 1 + number % min(3, len(tags))]
                where = f"{track % 100:02}/{track}"
                about = [
                    f"track_{track:07}",
                    f"artist_{number // 3:06}",
                    f"album_{number // 2:06}",
                    f"{where}.mp3",
                    29.9,
                ]
                lines.append([*about, *given])
                for path in (root / f"audio/{where}.mp3", root / f"audio-low/{where}.low.mp3"):
                    if not path.exists() and number != 1:
                        put(path, number)
                number += 1
            name = f"autotagging_{task}-{split}.tsv"
            for fold in (0, 4):
                _write(root / f"data/splits/split-{fold}" / name, lines, "\t", end="\r\n")
    return root


def gtzan(root: Path, folder: str = "genres", ending: str = ".au") -> Path:
    """GTZAN: an excerpt of each genre and split, and faulty ones; jazz.00054 cannot be read."""
    _start(root)
    split = registry.load("datasets", "gtzan").SPLIT
    for genres in split.values():
        for genre, ranges in genres.items():
            number = int(ranges.replace("-", " ").split()[0])
            put(root / folder / genre / f"{genre}.{number:05}{ending}", number)
    put(root / folder / "blues" / f"blues.00099{ending}")
    put(root / folder / "hiphop" / f"hiphop.00039{ending}")
    (root / folder / "jazz" / f"jazz.00054{ending}").write_bytes(b"RIFF no audio" * 9)
    (root / folder / "jazz" / f"._jazz.00054{ending}").write_bytes(b"\0")
    return root


FMA_COLUMNS = [
    ("album", "id"),
    ("album", "title"),
    ("artist", "bio"),
    ("artist", "id"),
    ("artist", "name"),
]
FMA_COLUMNS += [("set", "split"), ("set", "subset"), ("track", "genre_top"), ("track", "genres")]
FMA_COLUMNS += [("track", "genres_all"), ("track", "title")]


def fma(root: Path) -> Path:
    """FMA: tracks.csv as pandas writes it, with two header lines and one for the index.

    Some texts have several lines. It has the sizes small and large.
    """
    _start(root)
    genres = {2: "International", 3: "Blues", 12: "Rock", 21: "Hip-Hop", 25: "Punk", 811: "Punk"}
    _write(
        root / "fma_metadata/genres.csv",
        [
            ["genre_id", "#tracks", "parent", "title", "top_level"],
            *([n, 9, 0, t, n] for n, t in genres.items()),
        ],
    )
    head = [["", *(table for table, _ in FMA_COLUMNS)], ["", *(name for _, name in FMA_COLUMNS)]]
    lines: list[Sequence[object]] = [*head, ["track_id"] + [""] * len(FMA_COLUMNS)]
    for number in range(18):
        track = 2 + 997 * number
        split = ("training", "training", "training", "validation", "test", "test")[number // 3]
        subset = ("small", "medium", "large")[number % 3]
        top, every = [("Hip-Hop", [21]), ("Rock", [12, 25]), ("Rock", [811, 12])][(number // 3) % 3]
        if number in (5, 8):
            top = ""  # of several top-level genres none
            every = [2, 3]
        bio = "<p>long,\nand on two lines</p>" + "x" * 140_000 * (number == 3)
        about = [
            number // 3,
            f"Album, {number // 3}",
            bio,
            100 + number // 3,
            f"Artist {number // 3}",
            split,
            subset,
        ]
        lines.append([track, *about, top, every[:1], every, f"Title {number}"])
        where = f"{track // 1000:03}/{track:06}.mp3"
        if number != 1:
            put(root / "fma_large" / where, number)
        if subset == "small":
            put(root / "fma_small" / where, number)
    _write(root / "fma_metadata/tracks.csv", lines)
    return root


def _msd_id(number: int) -> str:
    return f"TRAAA{chr(65 + number)}{chr(75 + number % 9)}128F{number:07X}"


def msd(root: Path, lastfm: bool = False) -> Path:
    """MSD: lists as text, and tags as a CSV or as Last.fm's database.

    One track has no path, and one file is missing.
    """
    _start(root)
    ids = [_msd_id(number) for number in range(12)]
    (root / "train.txt").write_text("\n".join(ids[:6]) + "\n")
    _write(root / "valid.csv", [["msd_id", "note"], *([track, "x"] for track in ids[6:9])])
    (root / "filtered_list_test.tsv").write_text("".join(f"{track}\t[0, 1]\n" for track in ids[9:]))
    given = [["rock", "Mellow"], ["pop"], ["rock", "00s"], [], ["Hip-Hop"], ["jazz"]] * 2
    paths: list[list[object]] = [["msd_id", "path"]]
    for number, track in enumerate(ids):
        if number != 3:
            paths.append([track, f"previews/{number % 10}/{number}.clip.mp3"])
        if number not in (3, 4):
            put(root / f"previews/{number % 10}/{number}.clip.mp3", number)
    _write(root / "paths.csv", paths)
    artists = [
        f"{track}<SEP>SO{number:016}<SEP>Artist {number // 4}<SEP>Title {number}"
        for number, track in enumerate(ids)
    ]
    (root / "unique_tracks.txt").write_text("\n".join(artists[:11]) + "\n")
    if lastfm:
        _lastfm(root / "lastfm_tags.db", dict(zip(ids, given, strict=True)))
    else:
        _write(
            root / "tags.csv",
            [
                ["msd_id", "tags"],
                *([t, "|".join([*g, "seen live"])] for t, g in zip(ids, given, strict=True)),
            ],
        )
    return root


def _lastfm(path: Path, given: dict[str, list[str]]) -> None:
    """Writes a database in Last.fm's schema: tables tids, tags and tid_tag, joined by ROWID.

    A track's second tag has a weight of 7, its first one a weight of 100.
    """
    names = [
        "seen live",
        "rock",
        "Rock",
        *sorted({tag for tags in given.values() for tag in tags} - {"rock"}),
    ]
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE tags (tag TEXT)")
    database.execute("CREATE TABLE tids (tid TEXT)")
    database.execute("CREATE TABLE tid_tag (tid INT, tag INT, val FLOAT)")
    database.executemany("INSERT INTO tags VALUES (?)", [(name,) for name in names])
    for number, (track, tags) in enumerate(given.items(), start=1):
        database.execute("INSERT INTO tids VALUES (?)", (track,))
        database.execute("INSERT INTO tid_tag VALUES (?, 1, 100.0)", (number,))
        for place, tag in enumerate(tags):
            weight = 7.0 if place else 100.0
            database.execute(
                "INSERT INTO tid_tag VALUES (?, ?, ?)", (number, names.index(tag) + 1, weight)
            )
    database.commit()
    database.close()


def folder(root: Path) -> Path:
    """A folder of files in every format, some with endings in upper case.

    It also has hidden files, files that are no audio, and a link to a folder above.
    """
    _start(root)
    for number, ending in enumerate(
        (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au")
    ):
        put(root / "several" / f"{number}{ending}", number)
    put(root / "A" / "ONE.WAV")
    put(root / "a" / "été 2.Mp3")
    put(root / "top.flac", 2)
    put(root / "._top.flac")
    put(root / ".trash" / "old.wav")
    (root / "a" / "cover.jpg").write_bytes(b"no audio")
    (root / "a" / "empty.wav").touch()
    (root / "a" / "again").symlink_to(root)
    return root


_JAMENDO_SETTINGS: list[dict[str, object]] = [
    {"task": task, "audio": audio}
    for task in ("top50", "genre", "instrument", "moodtheme")
    for audio in ("full", "low")
]
TREES: dict[str, tuple[Callable[[Path], Path], list[dict[str, object]]]] = {
    "magnatagatune": (magnatagatune, [{"split": "lee"}, {"split": "pons"}]),
    "jamendo": (jamendo, [*_JAMENDO_SETTINGS, {"fold": 4}]),
    "gtzan": (gtzan, [{}]),
    "fma": (fma, [{}, {"size": "large", "task": "tags"}, {"size": "large"}, {"task": "none"}]),
    "msd": (msd, [{}]),
    "folder": (folder, [{}]),
}
