"""Random numbers as a function of (seed, purpose, step), whatever was drawn before.

A counter-based generator (Philox; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
2011) has no state that must be saved: a restarted run, another worker or another rank asks for the
same coordinates and gets the same numbers.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def seed_for(seed: int, purpose: str, step: int = 0) -> int:
    """A 63-bit seed for libraries that take an integer, such as `torch.manual_seed`.

    Args:
        seed: of the cell.
        purpose: what is drawn, such as "views"; different purposes are independent of each other.
        step: training step, or another counter.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, purpose: str, step: int = 0) -> np.random.Generator:
    """A numpy generator for the coordinates (seed, purpose, step).

    Where the batch index comes first, no item depends on the batch size: `generator(seed, purpose,
    step).random((batch, k))[i]` depends on (seed, purpose, step, i) alone.

    Args:
        seed: of the cell.
        purpose: what is drawn.
        step: training step, or another counter.
    """
    key = int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, step]))


def raw(seed: int, purpose: str, step: int, size: int) -> NDArray[np.uint64]:
    """Random 64-bit numbers for the coordinates, shape (size,).

    The first numbers are the same for every size. numpy promises that these bits never change
    between its versions, but not what its `Generator` makes of them.

    Args:
        seed: of the cell.
        purpose: what is drawn.
        step: training step, or another counter.
        size: how many numbers.
    """
    bits = generator(seed, purpose, step).bit_generator
    return np.asarray(bits.random_raw(size), dtype=np.uint64)
