"""Messages of the prepare stage: its progress, and what was left out or changed.

No sample depends on this file, so no key takes it into account (see `bench.core.code`).
"""

import inspect
import time
from pathlib import Path
from typing import Any

from bench.core.progress import say
from bench.data.decoders import Outcome
from bench.data.manifest import Progress
from bench.data.prepared import Prepared
from bench.settings.specs import PlugIn


def tell(prepared: Prepared, dataset: PlugIn, folder: Path) -> None:
    """Prints how many files were left out or changed, and the first names.

    Args:
        prepared: the prepared data set.
        dataset: its name and settings.
        folder: of the product, where the full report lies.
    """
    facts = prepared.facts
    counts = ", ".join(f"{number} {split}" for split, number in facts["tracks"].items())
    about = f"{len(facts['tags'])} {facts['kind']}, split {facts['split_name']}"
    say(f"{dataset.name}: {len(prepared.tracks)} tracks ({counts}), {about}")
    for note in facts["notes"]:
        say(f"{dataset.name}: {note}")
    left_out = facts["left_out"]
    if left_out:
        some = "; ".join(left_out[:5]) + (
            f"; and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        )
        say(
            f"{dataset.name}: {len(left_out)} files left out, all in {folder / 'report.csv'}: "
            f"{some}"
        )
    if facts["shorter"]:
        say(
            f"{dataset.name}: {facts['shorter']} files are shorter than their headers promise "
            "(see report.csv)"
        )
    if facts["lowered"]:
        say(f"{dataset.name}: {facts['lowered']} files lowered in level so that no sample clips")


class Teller:
    """Reports the progress of preparing and, to a callback that takes a text, its speed."""

    def __init__(self, progress: Progress, files: int, sample_rate: int) -> None:
        """Starts the clock.

        Args:
            progress: called with (done, total) files and, if it takes a third argument, a text.
            files: number of files in all.
            sample_rate: of the store, in Hz.
        """
        self._progress: Any = progress
        self._total, self._hour = files, 3600 * sample_rate
        kinds = [parameter.kind for parameter in inspect.signature(progress).parameters.values()]
        self._takes_text = len(kinds) > 2 or inspect.Parameter.VAR_POSITIONAL in kinds
        self._started = time.monotonic()
        self._files = self._frames = self._left_out = 0

    def __call__(self, done: int, outcome: Outcome) -> None:
        """Reports one more file.

        Args:
            done: number of files that are done, those of earlier attempts included.
            outcome: of the file.
        """
        self._files += 1
        self._frames += outcome.frames
        self._left_out += not outcome.frames
        if not self._takes_text:
            self._progress(done, self._total)
            return
        seconds = max(time.monotonic() - self._started, 1e-3)
        left_out = f", {self._left_out} left out" if self._left_out else ""
        hours = self._frames / self._hour / seconds
        self._progress(
            done,
            self._total,
            f"{self._files / seconds:.0f} files/s, {hours:.2f} h of audio/s{left_out}",
        )
