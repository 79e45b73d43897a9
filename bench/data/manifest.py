"""The manifest: one row a track, the only form in which the harness knows a data set.

A file in `datasets/` holds a docstring (its first line is what `bench list datasets` shows), the literal constants
below, a frozen `Settings`, and one function `manifest(root, settings, progress)`, which reads the data set's own files
under `root` (or makes them there) and returns a `Manifest`. It imports nothing of the harness but this module.

Constants: PAPER, COST, HOMEPAGE, LICENCE, CITATION (strings); GENERATED = True where the data set makes its own files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bench.config import Spec
from bench.errors import InputError as InputError
from bench.randomness import generator as generator

SPLITS = ("train", "valid", "test")
Progress = Callable[[int, int], None]
"""Called with (done, total) as work goes on."""


class Settings(Spec):
    """Base of a data set's settings: frozen, typed, unknown keys are errors."""


@dataclass(frozen=True)
class Manifest:
    """A data set as the harness knows it.

    Attributes:
        tracks: one row a track: `track_id` (unique str), `path` (str, relative to the data set's root), `split` (one
            of SPLITS, or "" for unlabelled audio), `tags` (list of str), `group` (str: artist or album; tracks of one
            group never stand in two splits), and any further columns that describe the track.
        tags: every tag that may occur, in the order of the outputs.
        kind: "tags" (several a track) or "classes" (exactly one a track).
        split_name: which of the data set's published or drawn splits this is; part of a score's identity.
        notes: sentences that a user should see, such as what was counted, filled in or left out.
    """

    tracks: pd.DataFrame
    tags: tuple[str, ...]
    kind: Literal["tags", "classes"]
    split_name: str
    notes: tuple[str, ...] = ()
