"""Copies samples from an earlier store, so that only new and changed files are decoded."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from bench.core.code import code_digest
from bench.core.errors import InputError
from bench.core.store import read_json
from bench.data.decode import LIBRARIES, file_status
from bench.data.decoders import Answer, Outcome
from bench.data.pcm import PcmStore
from bench.settings.specs import digest

_COLUMNS = ["path", "file_bytes", "file_mtime_ns", "audio_hash", "file_remark"]


@cache
def decoding() -> str:
    """Digest of what turns audio files into samples: the code that decodes, and its libraries.

    Samples that were made by other code or under other libraries are never copied.
    """
    return digest([code_digest("bench.data.decoders"), LIBRARIES])


class Finished:
    """A finished store of samples from which unchanged tracks are copied."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        """Reads which files the store was made from.

        Args:
            folder: of the finished product.
            sample_rate: of the store that tracks are copied to, in Hz.

        Raises:
            InputError: the folder holds no finished product, or one at another sample rate.
        """
        if not (folder / "index.npy").is_file():
            raise InputError(f"{folder}: no finished store to take tracks from")
        rate = read_json(folder / "data.json")["sample_rate"]
        if rate != sample_rate:
            raise InputError(
                f"{folder}: a store at {rate} Hz; tracks at {sample_rate} Hz cannot be taken "
                "from it"
            )
        self._store = PcmStore(folder, np.load(folder / "index.npy", mmap_mode="r"), sample_rate)
        # Other versions of the libraries may give other samples: then nothing is taken.
        same = read_json(folder / "run.json").get("decoding") == decoding()
        self._tracks = pd.read_parquet(folder / "manifest.parquet", columns=_COLUMNS)
        self._rows = {path: row for row, path in enumerate(self._tracks["path"])} if same else {}
        self._seen = list(
            zip(
                self._tracks["file_bytes"].tolist(),
                self._tracks["file_mtime_ns"].tolist(),
                strict=True,
            )
        )

    def find(self, root: Path, path: str) -> int | None:
        """The row of a file whose size and time are as they were when it was decoded.

        Args:
            root: folder that the paths of the data set are relative to.
            path: of the file.

        Returns:
            The row in this store; None where the file is new or has changed.
        """
        row = self._rows.get(path)
        if row is None:
            return None
        status = file_status(root / path)
        return row if status and (status.st_size, status.st_mtime_ns) == self._seen[row] else None

    def copy(self, row: int) -> Answer:
        """The samples of a track and what was noted of them, as decoding the file would give.

        Args:
            row: of the track in this store.
        """
        track, frames = self._tracks.iloc[row], int(self._store.frames[row])
        outcome = Outcome(
            frames, track["audio_hash"], *self._seen[row], reason="", remark=track["file_remark"]
        )
        return outcome, self._store.read(row, 0, frames)


def find_previous(products: Path, root: Path, sample_rate: int) -> Path | None:
    """The largest finished product that was made from the files under `root` at this rate, if any.

    Args:
        products: folder that holds the products of `prepare`, one subfolder each.
        root: folder that the paths of the data set are relative to.
        sample_rate: of the store, in Hz.

    Returns:
        The folder of the product with the most tracks; None where there is none.
    """
    usable: list[tuple[int, Path]] = []
    for index in products.glob("*/index.npy"):
        folder = index.parent
        if folder.suffix or not (folder / "run.json").is_file():  # it is under way
            continue
        run, facts = read_json(folder / "run.json"), read_json(folder / "data.json")
        if (run.get("root"), run.get("decoding"), facts["sample_rate"]) == (
            str(root.resolve()),
            decoding(),
            sample_rate,
        ):
            usable.append((sum(facts["tracks"].values()), folder))
    return max(usable)[1] if usable else None
