"""What no probe can be trained on is refused."""

import numpy as np
import pytest

from bench.core.errors import InputError
from bench.stages.embed.segments import Embeddings
from bench.stages.probe.probes import Subset, fit_all
from tests.stages.probe.problems import SMALL, problem

pytestmark = pytest.mark.usefixtures("one_thread")


def test_unusable_inputs_are_said_in_one_line() -> None:
    data = problem(10)
    broken = data.embeddings.tracks.copy()
    broken[[3, 12, 13, -1], 1] = np.nan
    nan = Embeddings(data.embeddings.segments, data.embeddings.first, broken)
    nothing = data.targets.copy()
    nothing[data.valid] = False
    untagged = data.targets.copy()
    untagged[:4] = False
    none = np.empty(0, dtype=np.int64)
    cases = [
        (
            nan,
            data.targets,
            data.train,
            data.valid,
            "1 of 10 train tracks are not finite; the encoder diverged",
        ),
        (nan, data.targets, data.train[:2], data.valid, "2 of 200 valid tracks are not finite"),
        (nan, data.targets, data.train[:2], data.valid[5:], "1 of 400 test tracks are not finite"),
        (data.embeddings, data.targets, none, data.valid, "train split has no tracks"),
        (data.embeddings, data.targets, data.train, none, "valid split has no tracks"),
        (
            data.embeddings,
            nothing,
            data.train,
            data.valid,
            "no tag has a positive in the valid split",
        ),
        (
            data.embeddings,
            untagged,
            data.train[:4],
            data.valid,
            "subset of 4 tracks has no positive of any tag",
        ),
        (data.embeddings, data.targets[:5], data.train, data.valid, "610 embeddings for 5 tracks"),
    ]
    for embeddings, targets, rows, valid, words in cases:
        with pytest.raises(InputError, match=words):  # before anything is asked of the iterator
            fit_all(
                embeddings, targets, "tags", 5, valid, data.test, [Subset(rows, 0)], SMALL, "cpu"
            )
