"""Any tree of audio files, unlabelled, to pretrain on.

Root: the tree. Files are found by their ending (wav, flac, ogg, opus, mp3, aiff, aif, au, in upper
or lower case) and taken in the order of their paths, so that the same tree is the same data set.
Hidden files and folders are passed over and counted; links are followed. Tracks of one folder are
one group.

All tracks are in the train split, so that the setting `views.splits` always includes them. The
data set has no tags, so it cannot be probed.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from bench.data import manifest as contract
from bench.data.manifest import InputError, Manifest, Progress

PAPER = "none"
COST = "nothing; 1.9 MB a minute prepared at 16 kHz"
HOMEPAGE = ""
LICENCE = "that of the files"
CITATION = ""
FILES: tuple[contract.File, ...] = ()
PUBLISHED: dict[str, dict[str, int]] = {}
PUBLISHED_IN = ""
INSTRUCTIONS = "give a folder of audio files as the root"

ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au")


class Settings(contract.Settings):
    """No settings: the root says it all."""


def manifest(root: Path, settings: Settings, progress: Progress) -> Manifest:
    """Lists the audio files of the tree.

    Raises:
        InputError: there is no such folder, a folder in it cannot be read, or it has no audio
            files.
    """
    if not root.is_dir():
        raise InputError(f"{root}: not a folder of audio files; {contract.held(root)}")
    passed: Counter[str] = Counter()
    paths: list[str] = []
    for path in _files(root, passed):
        paths.append(path)
        if len(paths) % 1000 == 0:
            progress(len(paths), len(paths) + 1)  # the total is not known yet
    if not paths:
        seen = f"; {sum(passed.values())} files in it are other ones" if passed else ""
        raise InputError(
            f"{root}: no audio files ({', '.join(ENDINGS)}); {contract.held(root)}{seen}"
        )
    paths.sort()
    tracks = pd.DataFrame({"track_id": paths, "path": paths, "split": "train"})
    tracks["tags"] = [[] for _ in paths]
    tracks["group"] = [path.rpartition("/")[0] or "." for path in paths]
    progress(len(paths), len(paths))
    notes = tuple(f"{number} {what} passed over" for what, number in sorted(passed.items()))
    return Manifest(tracks, (), "tags", "unlabelled", notes)


def _files(root: Path, passed: Counter[str]) -> Iterator[str]:
    """Paths of the audio files below `root`, relative to it.

    Args:
        root: the tree.
        passed: kind of other file or folder -> how many were passed over; counted here.
    """

    def refuse(error: OSError) -> None:
        raise InputError(
            f"{error.filename}: cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error

    entered = {os.path.realpath(root)}
    for folder, below, names in os.walk(root, followlinks=True, onerror=refuse):
        below.sort()
        for name in tuple(below):
            real = os.path.realpath(Path(folder, name))
            # Of a folder that is entered a second time, a link in it could lead on for ever.
            if name.startswith(".") or real in entered:
                below.remove(name)
                is_hidden = name.startswith(".")
                kind = "hidden folders" if is_hidden else "folders that links lead to a second time"
                passed[kind] += 1
            entered.add(real)
        for name in names:
            path = Path(folder, name).relative_to(root).as_posix()
            if name.startswith("."):
                passed["hidden files"] += 1
            elif not name.lower().endswith(ENDINGS):
                passed["files that are no audio"] += 1
            elif not _storable(path):
                passed["files whose names are not in UTF-8"] += 1
            else:
                yield path


def _storable(path: str) -> bool:
    """Whether a path is text, so that the manifest's table can hold it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
