"""Which of several processes this one is, and which part of a batch is its own.

Light: read before torch is loaded. Pretraining runs in as many processes as a launcher starts
(`torchrun`, Slurm tasks), one a GPU. They share every batch: its items, what is drawn for each of
them, its statistics and its gradient are those of one process with the whole batch, so that a
product does not depend on how many there were.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from bench.core.errors import InputError


@dataclass(frozen=True)
class Part:
    """Some items of a batch, one after the other.

    Attributes:
        first: place of the first of them in the batch.
        end: place behind the last of them.
        batch: items of the whole batch.
    """

    first: int
    end: int
    batch: int


@dataclass(frozen=True)
class World:
    """This process among those that train together.

    Attributes:
        rank: its number, from 0; the process 0 is the one that writes.
        size: how many there are.
        local_rank: its number among those of its machine, which chooses its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "World":
        """What a launcher says, in the names that torchrun gives: RANK, WORLD_SIZE, LOCAL_RANK.

        Slurm's own names are not read: `srun -n 4 bench run --seed $SLURM_PROCID` is four runs, and
        stays that.

        Raises:
            InputError: they do not fit each other.
        """
        size = _number(environment, "WORLD_SIZE", 1)
        if size <= 1:
            return cls()
        missing = [
            name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in environment
        ]
        if missing:
            raise InputError(
                f"WORLD_SIZE is {size}, but {missing[0]} is not set: start with torchrun, or unset both"
            )
        rank = _number(environment, "RANK", 0)
        if not 0 <= rank < size:
            raise InputError(
                f"RANK {rank}: of {size} processes (WORLD_SIZE) the last one has the number {size - 1}"
            )
        return cls(rank, size, _number(environment, "LOCAL_RANK", rank))

    def part(self, batch: int) -> Part:
        """The items of a batch that are this process's own.

        Raises:
            InputError: the processes cannot have equally many.
        """
        if batch % self.size:
            near = max(1, round(batch / self.size)) * self.size
            raise InputError(
                f"a batch of {batch} cannot be shared equally by {self.size} processes: "
                f"give --train.batch_size {near}, or another number of processes"
            )
        items = batch // self.size
        return Part(self.rank * items, (self.rank + 1) * items, batch)


def end_process(status: int) -> None:
    """Ends a process that had joined others, without what Python does at an end.

    Gloo's threads are not joined: where one still runs, a plain exit is an abort now and then.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _number(environment: Mapping[str, str], name: str, otherwise: int) -> int:
    try:
        return int(environment.get(name, otherwise))
    except ValueError as error:
        raise InputError(
            f"{name} is {environment[name]!r} in the environment: not a whole number"
        ) from error
