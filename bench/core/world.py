"""The rank of this process among those that train together, and its part of each batch.

Pretraining runs in as many processes as a launcher starts (`torchrun`, Slurm tasks), one a GPU.
They share every batch: its items, the random numbers drawn for each item, its statistics and its
gradient are those of one process with the whole batch, so that no product depends on the number of
processes. This module is read before torch is loaded, and does not import it.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from bench.core.errors import InputError


@dataclass(frozen=True)
class Part:
    """A contiguous part of a batch.

    Attributes:
        first: index of its first item in the batch.
        end: index behind its last item.
        batch: number of items in the whole batch.
    """

    first: int
    end: int
    batch: int


@dataclass(frozen=True)
class World:
    """This process among those that train together.

    Attributes:
        rank: number of the process, from 0; process 0 alone writes products.
        size: number of processes.
        local_rank: number of the process among those on its machine; it chooses the GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "World":
        """Reads what the launcher set: RANK, WORLD_SIZE and LOCAL_RANK, torchrun's names.

        Slurm's own variables are not read, since `srun -n 4 bench run --seed $SLURM_PROCID` means
        four separate runs.

        Args:
            environment: the environment variables.

        Returns:
            This process; a world of one where nothing is set.

        Raises:
            InputError: the variables contradict each other, or one is not a whole number.
        """
        size = _number(environment, "WORLD_SIZE", 1)
        if size <= 1:
            return cls()
        missing = [
            name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in environment
        ]
        if missing:
            raise InputError(
                f"WORLD_SIZE is {size}, but {missing[0]} is not set: "
                "start with torchrun, or unset both"
            )
        rank = _number(environment, "RANK", 0)
        if not 0 <= rank < size:
            raise InputError(
                f"RANK {rank}: of {size} processes (WORLD_SIZE) "
                f"the last one has the number {size - 1}"
            )
        return cls(rank, size, _number(environment, "LOCAL_RANK", rank))

    def part(self, batch: int) -> Part:
        """The part of a batch that this process works on.

        Args:
            batch: number of items in the whole batch.

        Raises:
            InputError: the batch cannot be shared equally.
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
    """Ends a process that trained with others, without Python's own clean-up.

    torch's Gloo backend leaves threads behind that nobody joins. Where one still runs, a plain exit
    aborts now and then.

    Args:
        status: exit status.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _number(environment: Mapping[str, str], name: str, otherwise: int) -> int:
    """A variable of the environment as a whole number; `otherwise` where it is not set."""
    try:
        return int(environment.get(name, otherwise))
    except ValueError as error:
        raise InputError(
            f"{name} is {environment[name]!r} in the environment: not a whole number"
        ) from error
