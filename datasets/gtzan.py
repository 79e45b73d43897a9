"""GTZAN: 1 000 excerpts of 30 s in 10 genres; the fault-filtered split of 930.

George Tzanetakis and Perry Cook, "Musical genre classification of audio signals", IEEE Transactions
on Speech and Audio Processing 10(5), 2002. The split: Corey Kereliuk, Bob Sturm and Jan Larsen,
"Deep learning and music adversaries", IEEE Transactions on Multimedia 17(11), 2015. It leaves out
the faulty excerpts that Sturm found (repetitions, mislabellings, distortions), and is made to keep
artists apart.

Root: `genres/blues/blues.00000.au`, as first distributed, or
`genres_original/blues/blues.00000.wav`. In some copies jazz.00054.wav is no audio file: `prepare`
lists it.

The data set names no artists, so every excerpt is a group of its own.
"""

from pathlib import Path

import pandas as pd

from bench.data import manifest as contract
from bench.data.manifest import File, Manifest, Progress

PAPER = "Tzanetakis & Cook, TSAP 2002"
COST = "1.2 GB; 0.9 GB prepared at 16 kHz"
HOMEPAGE = "http://marsyas.info/downloads/datasets.html"
LICENCE = "none given; audio under copyright, for research"
CITATION = (
    "G. Tzanetakis, P. Cook. Musical genre classification of audio signals. IEEE Transactions on "
    "Speech and Audio Processing 10(5), 2002."
)

# The checksum is the one in torchaudio for the authors' own copy,
# opihi.cs.uvic.ca/sound/genres.tar.gz, which is no longer served. The size is not published.
FILES = (
    File(
        "genres.tar.gz",
        "https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz",
        checksum="sha256:24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6",
        unpack=True,
    ),
)

PUBLISHED = {"fault-filtered": {"train": 443, "valid": 197, "test": 290, "tags": 10}}
PUBLISHED_IN = "github.com/jongpillee/music_dataset_split (GTZAN_split)"

GENRES = (
    "blues",
    "classical",
    "country",
    "disco",
    "hiphop",
    "jazz",
    "metal",
    "pop",
    "reggae",
    "rock",
)

# Numbers of the excerpts in {train,valid,test}_filtered.txt of
# github.com/jongpillee/music_dataset_split (MIT).
SPLIT = {
    "train": {
        "blues": "29-49 73-97",
        "classical": "30-33 43-48 50-67 80-99",
        "country": "19-26 28-29 65-99",
        "disco": "5 15-20 22-37 39-45 47 49 53-54 56-57 59 61 70 73-74 89",
        "hiphop": "2-25 28-29 31-38 41-42 55-61 77-80",
        "jazz": "0-1 11-24 41 47-72",
        "metal": "2-3 5 21 24 35 46-57 59-66 69 71-72 79-80 84 86 89-99",
        "pop": "2-9 11-12 16-20 23-29 31-36 38-42 44 46 49-50 80 97-99",
        "reggae": "0-2 4 6 9 11-12 14-32 42-45 49-51 54-60 63 69",
        "rock": "0-9 16-26 57-70 91-99",
    },
    "valid": {
        "blues": "0-11 50-60",
        "classical": "0-10 68-76",
        "country": "0-7 9-18 27 41-42 45 49",
        "disco": "0 2-4 6-14 46 48 52 67-68 72 75 90 95",
        "hiphop": "81-98",
        "jazz": "2-10 25-32",
        "metal": "0-1 6-11 16-20 36-37 68 76-77 81-82",
        "pop": "10 53 55 58-62 81 83-86",
        "reggae": "61-62 70 72 74 76-78 85 92-99",
        "rock": "38 49-56 71-85",
    },
    "test": {
        "blues": "12-28 61-72 98-99",
        "classical": "11-29 34-41 49 77-79",
        "country": "30-40 43-44 46-48 50-51 53-64",
        "disco": "1 21 58 62-66 69 76-88 91-94 96-97 99",
        "hiphop": "0 26-27 30 40 43-45 51-54 62-75 99",
        "jazz": "73-99",
        "metal": "12-15 22-23 25-33 38-39 67 70 73-75 78 83 85 87-88",
        "pop": "0-1 13-14 43 63-66 69-79 82 88-96",
        "reggae": "34-40 46-48 52-53 64-68 71 79 82-84 87-90",
        "rock": "10-15 27-37 39-48 86-90",
    },
}


class Settings(contract.Settings):
    """No settings: other splits of this data set hold repeated or mislabelled tracks."""


def manifest(root: Path, settings: Settings, progress: Progress) -> Manifest:
    """Looks for the excerpts of the fault-filtered split.

    Raises:
        InputError: none of the excerpts is there.
    """
    rows = [
        (f"{genre}.{number:05}", split, [genre])
        for split, genres in SPLIT.items()
        for genre, ranges in genres.items()
        for number in _numbers(ranges)
    ]
    tracks = pd.DataFrame(rows, columns=["track_id", "split", "tags"])
    names = [f"{tags[0]}/{track}" for track, _, tags in rows]
    folders = ("genres", "genres_original", "Data/genres_original", "")
    tracks["path"], missing = contract.locate(
        root, names, folders, progress, endings=(".au", ".wav")
    )
    tracks["group"] = "track:" + tracks["track_id"]
    notes = (
        f"{1000 - len(tracks)} of the 1 000 excerpts are faulty and not in the split",
        "the data set names no artists: every excerpt is a group of its own",
        *missing,
    )
    return Manifest(tracks, GENRES, "classes", "fault-filtered", notes)


def _numbers(ranges: str) -> list[int]:
    """The numbers that "3-5 9" stands for: 3, 4, 5, 9."""
    ends = [part.split("-") for part in ranges.split()]
    return [number for pair in ends for number in range(int(pair[0]), int(pair[-1]) + 1)]
