"""Taking tracks from an earlier store: only files that are new or have changed are decoded."""

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
    """Digest of what turns files into samples: the code that decodes, and its libraries.

    Samples that were made by another code or other libraries are never copied.
    """
    return digest([code_digest("bench.data.decoders"), LIBRARIES])


class Finished:
    """A finished product of the same files at the same sample rate."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        """Reads which files it was made from.

        Raises:
            InputError: it is of another sample rate, or no product.
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
        """Row of a file that has neither changed in size nor in time since; None for any other."""
        row = self._rows.get(path)
        if row is None:
            return None
        status = file_status(root / path)
        return row if status and (status.st_size, status.st_mtime_ns) == self._seen[row] else None

    def copy(self, row: int) -> Answer:
        """What decoding the file again would give."""
        track, frames = self._tracks.iloc[row], int(self._store.frames[row])
        outcome = Outcome(
            frames, track["audio_hash"], *self._seen[row], reason="", remark=track["file_remark"]
        )
        return outcome, self._store.read(row, 0, frames)


def find_previous(products: Path, root: Path, sample_rate: int) -> Path | None:
    """The largest finished product that was made from the files under `root` at this rate, if any.

    Args:
        products: a folder of products of `prepare`, one a subfolder.
        root: of the data set.
        sample_rate: in Hz.
    """
    found: list[tuple[int, Path]] = []
    for index in products.glob("*/index.npy"):
        folder = index.parent
        if folder.suffix or not (folder / "run.json").is_file():  # one that is under way
            continue
        run, facts = read_json(folder / "run.json"), read_json(folder / "data.json")
        if (run.get("root"), run.get("decoding"), facts["sample_rate"]) == (
            str(root.resolve()),
            decoding(),
            sample_rate,
        ):
            found.append((sum(facts["tracks"].values()), folder))
    return max(found)[1] if found else None
