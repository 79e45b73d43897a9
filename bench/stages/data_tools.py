"""Work on whole data sets for `bench data`: list, fetch, verify, find leaks, take a sample."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from bench.core import registry
from bench.core.errors import InputError
from bench.core.progress import progress
from bench.core.store import Store, damage_of, read_json, require_writable
from bench.data.decoders import hash_of
from bench.data.fetch import fetch as downloads
from bench.data.leaks import Leaks, find_leaks
from bench.data.manifest import SPLITS, File
from bench.data.prepared import Prepared
from bench.settings.specs import LabelsSpec, PlugIn, is_csv
from bench.stages.keys import prepare_key
from bench.stages.prepare.stage import dataset_settings
from bench.stages.probe.subsets import labelled_order


@dataclass(frozen=True)
class Shelved:
    """A prepared data set in home.

    Attributes:
        name: of the folder that the data set was read from.
        facts: the content of its `data.json`.
        folder: of the product.
        size: of the folder's files, in bytes.
    """

    name: str
    facts: dict[str, Any]
    folder: Path
    size: int


def shelved(store: Store) -> list[Shelved]:
    """Every prepared data set in home.

    Args:
        store: home.
    """
    data_sets = []
    for path in sorted((store.home / "prepared").glob("*/data.json")):
        run = path.with_name("run.json")
        name = read_json(run).get("root", "") if run.is_file() else ""
        size = sum(entry.stat().st_size for entry in path.parent.iterdir() if entry.is_file())
        data_sets.append(Shelved(Path(name).name, read_json(path), path.parent, size))
    return data_sets


def files_of(dataset: PlugIn) -> tuple[File, ...]:
    """The files of a data set that can be downloaded, under its settings.

    Args:
        dataset: name and settings.
    """
    settings = dataset_settings(dataset, "dataset")
    module = registry.load("datasets", dataset.name)
    chosen = getattr(module, "files", None)
    return tuple(chosen(settings) if chosen else getattr(module, "FILES", ()))


def fetch(dataset: PlugIn, root: Path, workers: int, keep_archives: bool) -> list[str]:
    """Downloads the files of a data set that are openly available.

    Args:
        dataset: name and settings.
        root: folder that they go to.
        workers: number of downloads at once.
        keep_archives: whether archives are kept once they are unpacked.

    Returns:
        Notes for the user.

    Raises:
        InputError: nothing can be downloaded (the message says what to do instead), or a file did
            not arrive complete.
    """
    files = files_of(dataset)
    if not files:
        instructions = registry.describe("datasets", dataset.name).get("INSTRUCTIONS", "")
        what = " ".join(str(instructions).split()) or "it is made here, or comes from you"
        raise InputError(f"{dataset.name}: nothing of it can be downloaded; {what}")
    require_writable(root)
    with progress(f"fetch {dataset.name}", "bytes") as report:
        return downloads.fetch(
            files,
            root,
            workers=workers,
            progress=report,
            keep_archives=keep_archives,
        )


def verify(dataset: PlugIn, data: Prepared, store: Store) -> list[tuple[str, str, str, bool]]:
    """Compares a prepared data set with what is published of it, and its files with their digests.

    Args:
        dataset: name and settings.
        data: the data set as it lies in home, damaged or not.
        store: home.

    Returns:
        Rows of (what is compared, what was found, what was expected, whether that is right).
    """
    about = {} if is_csv(dataset.name) else vars(registry.load("datasets", dataset.name))
    published = about.get("PUBLISHED", {}).get(data.facts["split_name"], {})
    left_out = data.facts["left_out"]
    rows = []
    for split in SPLITS:
        count = int((data.tracks["split"] == split).sum())
        expected = published.get(split)
        # Unreadable files have a row of their own: a complete data set with three broken files
        # still counts as complete.
        right = expected is None or count <= expected <= count + len(left_out)
        rows.append((f"{split} tracks", str(count), _expected(expected), right))
    tags = published.get("tags")
    rows.append(
        (data.facts["kind"], str(len(data.tags)), _expected(tags), tags in (None, len(data.tags)))
    )
    rows.append(("tag-track pairs", str(int(data.labels.sum())), "-", True))
    rows.append(("files that cannot be used", str(len(left_out)), "0", not left_out))
    rows.append(("samples on the disk", *_whole(data)))
    key = prepare_key(dataset, data.audio.sample_rate, store)
    wrong = damage_of(store.folder("prepared", key), in_full=True)
    rows.append(("files", wrong or "as they were made", "as they were made", not wrong))
    return rows


def _expected(number: int | None) -> str:
    """A published number as text; "-" where none is published."""
    return "-" if number is None else str(number)


def _whole(data: Prepared) -> tuple[str, str, bool]:
    """Reads every track and compares its hash, which shows a changed store or a broken disk.

    Returns:
        How many tracks are as they were, how many there should be, and whether these are equal.
    """
    hashes = data.tracks["audio_hash"].tolist()
    wrong = 0
    with progress("read", "tracks") as report:
        for row, frames in enumerate(data.audio.frames):
            try:
                wrong += hash_of(data.audio.read(row, 0, int(frames))) != hashes[row]
            except (OSError, ValueError):
                wrong += 1
            report(row + 1, len(data.audio.frames), "")
    return (
        f"{len(data.audio.frames) - wrong} tracks",
        f"{len(data.audio.frames)} tracks",
        wrong == 0,
    )


def leaks(first: Prepared, second: Prepared) -> Leaks:
    """The tracks of one data set that are also in another, whatever their split.

    Args:
        first: the data set that is pretrained on.
        second: the data set that is probed.
    """
    with progress("look for leaks", "steps") as report:
        rows = first.rows("all"), second.rows("all")
        return find_leaks(first, second, *rows, report)


def held_out(found: Leaks) -> Leaks:
    """The leaks into the valid and test splits of the second set, which make scores too high.

    Args:
        found: all leaks.
    """
    return replace(
        found, rows=tuple(row for row in found.rows if row.second_split in ("valid", "test"))
    )


def sample(data: Prepared, tracks: int, seconds: float, seed: int, out: Path) -> int:
    """Writes some tracks as FLAC with a CSV, balanced over tags, the same share of each split.

    Args:
        data: the prepared data set.
        tracks: how many tracks to write, to the nearest of equal shares.
        seconds: length that is taken from the middle of each track; 0 for all of it.
        seed: of the draw.
        out: folder for `tracks.csv` and `audio/`.

    Returns:
        The number of tracks written.

    Raises:
        InputError: more tracks are asked for than there are, or the folder holds a sample already.
    """
    labelled = np.flatnonzero(data.tracks["split"].isin(SPLITS).to_numpy())
    if not 0 < tracks <= len(labelled):
        raise InputError(f"--tracks {tracks}: give 1 to {len(labelled)}, which is all of them")
    if (out / "tracks.csv").exists():
        raise InputError(f"{out / 'tracks.csv'} is there already: choose another --out")
    require_writable(out / "audio")
    chosen = np.concatenate([_drawn(data, split, tracks / len(labelled), seed) for split in SPLITS])
    rate = data.audio.sample_rate
    rows = []
    with progress("write", "tracks") as report:
        for number, row in enumerate(chosen):
            frames = int(data.audio.frames[row])
            length = min(frames, round(seconds * rate) or frames)
            name = f"audio/{number:05}.flac"
            samples = data.audio.read(int(row), (frames - length) // 2, length)
            soundfile.write(out / name, samples, rate, subtype="PCM_16")
            track = data.tracks.iloc[int(row)]
            tags = "|".join(np.array(data.tags)[data.labels[row]])
            kind = "label" if data.kind == "classes" else "tags"
            rows.append(
                {
                    "path": name,
                    kind: tags,
                    "split": track["split"],
                    "group": track["group"],
                    "track_id": track["track_id"],
                }
            )
            report(number + 1, len(chosen), "")
    with open(out / "tracks.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _drawn(data: Prepared, split: str, share: float, seed: int) -> NDArray[np.int64]:
    """Draws a share of a split's tracks, balanced over tags, but at least one where there are any.

    Returns:
        Their rows in the data set, sorted.
    """
    rows = data.rows(split)
    if not len(rows):
        return rows
    order = labelled_order(
        np.asarray(data.labels[rows]), LabelsSpec().scheme, 0, seed, f"sample {split}"
    )
    return np.sort(rows[order[: max(1, round(share * len(rows)))]])
