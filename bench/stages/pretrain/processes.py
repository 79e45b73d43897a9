"""Several processes that train together: what they share, and how each notices the loss of another.

Numbers of the training itself go by NCCL between GPUs and by gloo between CPUs. All else goes by
gloo in a group of its own, or by the store that the processes met at, so that no GPU is waited for.

A process that dies closes its connections, which the others notice at once. Where a whole machine
vanishes nothing is closed: the numbers of a training are waited for `_PATIENCE`, and how long a
process waits while process 0 does other work is said in `bench.stages.pretrain.messages`.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from bench.core.errors import DivergedError, LostProcessError
from bench.core.progress import Stopped, checkpoint_wanted, stopping
from bench.core.world import World
from bench.stages.pretrain.messages import Messages, Tree

Result = TypeVar("Result")

_PATIENCE = timedelta(minutes=10)
"""Longer than a checkpoint takes on a slow disk, or opening a large data set."""


class Processes:
    """The processes that train together, seen from one of them.

    All of them make the same calls in the same order, as each call waits for the others.

    Attributes:
        world: which of the processes this one is.
    """

    def __init__(
        self, world: World, store: Any = None, control: Any = None, cuda: bool = False
    ) -> None:
        """Takes what a process has after joining the others, see `joined`.

        A process that is alone has no store, and waits for nothing.

        Args:
            world: which process this is.
            store: the key-value store that the processes met at.
            control: the process group of gloo for all that is no number of the training.
            cuda: whether the numbers of the training go by NCCL.
        """
        self.world = world
        self._messages = Messages(store, world)
        self._control, self._cuda = control, cuda
        self._left = False

    @property
    def size(self) -> int:
        """Number of processes."""
        return self.world.size

    @property
    def first(self) -> bool:
        """Whether this is process 0, which alone writes files."""
        return self.world.rank == 0

    # Calls of the training, made by all processes.

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """Finds for each flag whether it is up in any process."""
        if self.size == 1:
            return list(flags)
        shared = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(shared, dist.ReduceOp.MAX, self._control)
        return [bool(flag) for flag in shared.tolist()]

    def mean(self, numbers: Sequence[float]) -> list[float]:
        """Averages each number over the processes."""
        if self.size == 1:
            return list(numbers)
        shared = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(shared, group=self._control)
        return [float(number) for number in shared / self.size]

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replaces each gradient by its mean over the processes.

        It takes one sum of one long vector after the backward pass, in place of torch's
        `DistributedDataParallel`, which sums while the pass goes on: for a few million parameters
        there is little to hide, no wrapper gets between the loop and the method, and a parameter
        may have a gradient in some processes alone (layers that are left out at random). A
        parameter without a gradient in any process stays without, as in a single process.

        Args:
            parameters: the trained parameters, in the same order in every process.
        """
        if self.size == 1:
            return
        present = self.any([parameter.grad is not None for parameter in parameters])
        moved = [parameter for parameter, there in zip(parameters, present, strict=True) if there]
        if not moved:
            return
        gradients = [
            parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            for parameter in moved
        ]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        means = torch.split(flat, [parameter.numel() for parameter in moved])
        for parameter, mean in zip(moved, means, strict=True):
            parameter.grad = mean.view_as(parameter)

    def gathered(self, part: Tensor) -> Tensor:
        """Puts together the parts of a batch: (items, ...) -> (batch, ...), without gradient."""
        if self.size == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.size)]
        dist.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    def of_first(self, content: bytes) -> bytes:
        """Sends the bytes of process 0 to every process."""
        if self.size == 1:
            return content
        # The others learn first how much there is to receive.
        size = torch.tensor([len(content)])
        dist.broadcast(size, 0, self._control)
        shared = torch.empty(int(size), dtype=torch.uint8)
        if self.first:
            shared.numpy()[:] = np.frombuffer(content, np.uint8)
        dist.broadcast(shared, 0, self._control)
        return shared.numpy().tobytes()

    def alone(self, work: Callable[[], Result]) -> Result:
        """Has process 0 do some work by itself, however long, and gives its result to all.

        Args:
            work: its result must be something that JSON can hold.

        Raises:
            LostProcessError: process 0 is gone or has given up.
        """
        if self.size == 1:
            return work()
        if self.first:
            done = work()
            self._messages.tell({"done": done})
            return done
        heard = self._hear()
        if "done" not in heard:
            raise LostProcessError(f"{self._name(0)} has given up: its own output says why")
        result: Result = heard["done"]
        return result

    def stop_or_save(self, due: bool) -> tuple[str, bool]:
        """Agrees on whether to stop after this step, and whether to save a checkpoint.

        Args:
            due: whether this process finds that a checkpoint is due.

        Returns:
            Why to stop, "" where no process was told to; and whether to save.
        """
        reason, wanted = stopping(), checkpoint_wanted()
        if self.size == 1:
            return reason, due or wanted
        if reason:
            self._messages.ask_to_stop(reason)
        stop, save = self.any([bool(reason), due or wanted])
        if not stop:
            return "", save
        return reason or self._messages.reason_to_stop(), save

    @contextmanager
    def training(self) -> Iterator[None]:
        """Surrounds what all processes do together.

        A process that fails by itself leaves, so that the others end: they would wait for it, or
        take its next message for another one.

        Raises:
            LostProcessError: another process is gone.
        """
        try:
            yield
        except (DivergedError, Stopped):  # raised by all processes, at the same step
            raise
        except BaseException as error:
            self._leave()
            if self.size > 1 and _of_connection(error):
                raise self._lost(error) from error
            raise

    # Between trainings: orders of process 0 to the others.

    def announce(self, order: Tree) -> None:
        """Orders the other processes to take part in a training; called by process 0.

        Args:
            order: says which training, in what JSON can hold.

        Raises:
            LostProcessError: this process has left the others.
        """
        if self._left:
            raise LostProcessError(
                f"{self._name(self.world.rank)} has left the others after an error"
            )
        if self.size > 1:
            self._messages.tell({"order": order})

    def orders(self) -> Iterator[Tree]:
        """Yields the orders of process 0 until it has no more; called by the others.

        Raises:
            LostProcessError: process 0 is gone.
        """
        while "order" in (heard := self._hear()):
            yield heard["order"]

    def _hear(self) -> Tree:
        """Waits for the next message of process 0, and raises LostProcessError if it is gone."""
        try:
            return self._messages.hear()
        except (RuntimeError, TimeoutError) as error:
            raise self._lost(error) from error

    # Leaving.

    def close(self) -> None:
        """Leaves the other processes.

        Process 0 waits until they know that there is no more to do, unless it had to leave before.
        """
        clean = not self._left
        self._leave()
        self._messages.end(wait=clean)

    def _leave(self) -> None:
        """Tells the others that there is no more to do, and closes the connections to them."""
        if self.size == 1 or self._left:
            return
        self._left = True
        if self.first:
            with suppress(RuntimeError):  # the store is gone already
                self._messages.tell({"end": True})
        # This closes gloo's connections, which the others notice. NCCL's group is left as it is: it
        # would first wait for what cannot end any more.
        dist.destroy_process_group(self._control if self._cuda else None)

    def _lost(self, error: BaseException) -> LostProcessError:
        """The error to raise for one of a connection."""
        return LostProcessError(
            f"{self._name(self.world.rank)} has lost another one ({_shortly(error)}), whose own "
            "output may say more; the same command goes on from the last checkpoint"
        )

    def _name(self, rank: int) -> str:
        return f"process {rank} of {self.size}"


ALONE = Processes(World())
"""A process that trains by itself."""


@contextmanager
def joined(world: World, device: str) -> Iterator[Processes]:
    """Joins the processes of a world, and leaves them in the end; a world of one is `ALONE`.

    A process that has joined others ends by `bench.core.world.end_process`.

    Args:
        world: which of the processes this one is; they meet at the address and port that the
            environment variables MASTER_ADDR and MASTER_PORT give.
        device: "auto", "cpu" or "cuda". On a machine with several GPUs this process uses from here
            on the one that has its own number on the machine.

    Raises:
        LostProcessError: the others were not found.
    """
    if world.size == 1:
        yield ALONE
        return
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        # Where a launcher shows each process a GPU of its own, that is number 0.
        torch.cuda.set_device(world.local_rank % torch.cuda.device_count())
    place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        store, *_ = next(rendezvous("env://", world.rank, world.size, timeout=_PATIENCE))
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            store=store,
            rank=world.rank,
            world_size=world.size,
            timeout=_PATIENCE,
        )
        control = dist.new_group(backend="gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise LostProcessError(
            f"process {world.rank} of {world.size} did not find the others at {place} "
            f"({_shortly(error)}): are all of them running, and may they reach each other?"
        ) from error
    # A prefix keeps our keys apart from those that torch itself puts into the store.
    ours = dist.PrefixStore("bench", store)  # type: ignore[attr-defined]
    processes = Processes(world, ours, control, cuda)
    try:
        yield processes
    finally:
        processes.close()


def _shortly(error: BaseException) -> str:
    """A library's message in one line, without the place in its code and its advice."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[[^]]*\] ", "", line).partition(". This is")[0][:200]


def _of_connection(error: BaseException) -> bool:
    """Whether an error is that of a broken or silent connection; gloo has no class for them."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )
