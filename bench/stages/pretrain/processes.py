"""Several processes that train together: what they tell each other, and how each notices that another is gone.

Numbers of the training itself go by NCCL between GPUs and by gloo between processors. All else goes
by gloo in a group of its own, or by the store that the processes met at, so that no GPU is waited
for.

A process that dies closes its connections, which the others notice at once. Where a whole machine
vanishes nothing is closed: a message of the training is waited for `_PATIENCE`, and a process that
waits while process 0 does other work gives up `_SILENCE_SECONDS` after the last sign of life of
process 0.
"""

import json
import os
import re
import threading
import time
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

Tree = dict[str, Any]
Result = TypeVar("Result")

_PATIENCE = timedelta(
    minutes=10
)  # longer than a checkpoint takes on a slow disk, or opening a large data set
_SILENCE_SECONDS = 300.0
_BEAT_SECONDS = 5.0
_FAREWELL_SECONDS = 30.0


class Processes:
    """The processes of a world, seen from one of them.

    Attributes:
        world: which of them this one is.
    """

    def __init__(
        self, world: World, store: Any = None, control: Any = None, cuda: bool = False
    ) -> None:
        """Of a process that has joined.

        One that is alone has no store, and everything here is done at once.

        Args:
            world: which process this is.
            store: where the processes met.
            control: the group that is not the training's own.
            cuda: whether the training's is NCCL's.
        """
        self.world = world
        self._store, self._control, self._cuda = store, control, cuda
        self._told = 0  # messages of process 0 so far
        self._broken = False
        self._over = threading.Event()
        if self.size > 1 and self.first:
            threading.Thread(target=self._beat, daemon=True).start()

    @property
    def size(self) -> int:
        """How many there are."""
        return self.world.size

    @property
    def first(self) -> bool:
        """Whether this is process 0, which writes."""
        return self.world.rank == 0

    # What the training needs.

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """Each flag, whether any process has it up."""
        if self.size == 1:
            return list(flags)
        shared = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(shared, dist.ReduceOp.MAX, self._control)
        return [bool(flag) for flag in shared.tolist()]

    def mean(self, numbers: Sequence[float]) -> list[float]:
        """Each number's mean over the processes."""
        if self.size == 1:
            return list(numbers)
        shared = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(shared, group=self._control)
        return [float(number) for number in shared / self.size]

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Each gradient's mean over the processes.

        One sum of one long vector after the backward pass, in place of torch's
        `DistributedDataParallel`, which sums while the pass goes on: for a few million parameters
        there is little to hide, no wrapper gets between the loop and the method, and a parameter
        may have a gradient in some processes alone (layers that are left out at random). One that
        has none in any stays without, as in one process.
        """
        if self.size == 1:
            return
        present = self.any([parameter.grad is not None for parameter in parameters])
        moved = [parameter for parameter, there in zip(parameters, present, strict=True) if there]
        if not moved:
            return
        flat = torch.cat(
            [
                (one.grad if one.grad is not None else torch.zeros_like(one)).flatten()
                for one in moved
            ]
        )
        dist.all_reduce(flat)
        flat /= self.size
        for parameter, mean in zip(
            moved, torch.split(flat, [one.numel() for one in moved]), strict=True
        ):
            parameter.grad = mean.view_as(parameter)

    def gathered(self, part: Tensor) -> Tensor:
        """(items, ...) of this process -> (batch, ...), without gradient."""
        if self.size == 1:
            return part
        every = [torch.empty_like(part) for _ in range(self.size)]
        dist.all_gather(every, part.contiguous())
        return torch.cat(every)

    def of_first(self, content: bytes) -> bytes:
        """What process 0 has, in every process."""
        if self.size == 1:
            return content
        size = torch.tensor([len(content)])
        dist.broadcast(size, 0, self._control)
        shared = torch.empty(int(size), dtype=torch.uint8)
        if self.first:
            shared.numpy()[:] = np.frombuffer(content, np.uint8)
        dist.broadcast(shared, 0, self._control)
        return shared.numpy().tobytes()

    def alone(self, work: Callable[[], Result]) -> Result:
        """What process 0 makes of some work that takes it alone any time; it must be JSON."""
        if self.size == 1:
            return work()
        if self.first:
            done = work()
            self._tell({"done": done})
            return done
        heard = self._hear()
        if "done" not in heard:
            raise LostProcessError(f"{self._name(0)} has given up: its own output says why")
        result: Result = heard["done"]
        return result

    def stop_or_save(self, due: bool) -> tuple[str, bool]:
        """Why all processes are to stop after this step ("" where none is told to), and whether to save.

        Args:
            due: whether this process finds that a checkpoint is due.
        """
        why, wanted = stopping(), checkpoint_wanted()
        if self.size == 1:
            return why, due or wanted
        if why:
            self._store.set("stop", why)
        stop, save = self.any([bool(why), due or wanted])
        return (why or self._store.get("stop").decode()) if stop else "", save

    @contextmanager
    def training(self) -> Iterator[None]:
        """Around what all processes do together.

        Where one of them fails by itself, the others would wait for it, or take its next message
        for another one: so it leaves, and they end.

        Raises:
            LostProcessError: another process is gone.
        """
        try:
            yield
        except (DivergedError, Stopped):  # all of them, at the same step
            raise
        except BaseException as error:
            self._leave()
            if self.size > 1 and _of_connection(error):
                raise self._lost(error) from error
            raise

    # What process 0 asks of the others.

    def announce(self, order: Tree) -> None:
        """Has the other processes take part in a training.

        Raises:
            LostProcessError: they are gone.
        """
        if self._broken:
            raise LostProcessError(
                f"{self._name(self.world.rank)} has left the others after an error"
            )
        if self.size > 1:
            self._tell({"order": order})

    def orders(self) -> Iterator[Tree]:
        """What process 0 announces, until it has no more.

        Raises:
            LostProcessError: it is gone.
        """
        while "order" in (heard := self._hear()):
            yield heard["order"]

    def _tell(self, message: Tree) -> None:
        self._store.set(f"message {self._told}", json.dumps(message))
        self._told += 1

    def _hear(self) -> Tree:
        """The next message of process 0, however long it takes, as long as it lives."""
        key, beat, since, pause = f"message {self._told}", b"", time.monotonic(), 0.001
        try:
            while not self._store.check([key]):
                now = self._store.get("beat") if self._store.check(["beat"]) else b""
                if now != beat:
                    beat, since = now, time.monotonic()
                if time.monotonic() - since > _SILENCE_SECONDS:
                    raise TimeoutError(f"no sign of life for {_SILENCE_SECONDS:.0f} s")
                time.sleep(pause)
                pause = min(0.25, pause * 1.5)
            self._told += 1
            message: Tree = json.loads(self._store.get(key))
        except (RuntimeError, TimeoutError) as error:
            raise self._lost(error) from error
        return message

    def _beat(self) -> None:
        beats = 0
        with suppress(RuntimeError):  # the store is gone, and so is the process that keeps it
            while True:
                self._store.set("beat", str(beats))
                beats += 1
                if self._over.wait(_BEAT_SECONDS):
                    return

    # Joining and leaving.

    def close(self) -> None:
        """Leaves.

        Process 0, which may keep the store, waits until the others know that there is no more to
        do.
        """
        clean = not self._broken
        self._leave()
        with suppress(RuntimeError):
            if not self.first:
                self._store.set(f"gone {self.world.rank}", "")
            elif clean:
                others = [f"gone {rank}" for rank in range(1, self.size)]
                until = time.monotonic() + _FAREWELL_SECONDS
                while not self._store.check(others) and time.monotonic() < until:
                    time.sleep(0.02)
        self._over.set()

    def _leave(self) -> None:
        if self.size == 1 or self._broken:
            return
        self._broken = True
        if self.first:
            with suppress(RuntimeError):
                self._tell({"end": True})
        # Closes gloo's connections, which the others notice. NCCL would first wait for what cannot
        # end any more.
        dist.destroy_process_group(self._control if self._cuda else None)

    def _lost(self, error: BaseException) -> LostProcessError:
        return LostProcessError(
            f"{self._name(self.world.rank)} has lost another one ({_shortly(error)}), whose own output may say more; "
            "the same command goes on from the last checkpoint"
        )

    def _name(self, rank: int) -> str:
        return f"process {rank} of {self.size}"


ALONE = Processes(World())


@contextmanager
def joined(world: World, device: str) -> Iterator[Processes]:
    """Joins the processes of a world, and leaves them in the end; a world of one is `ALONE`.

    A process that has joined others ends by `bench.core.world.end_process`.

    Args:
        world: which of them this one is; they meet at MASTER_ADDR and MASTER_PORT.
        device: "auto", "cpu" or "cuda". On a GPU it is that of this process's number on its machine
            from here on.

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
    processes = Processes(world, dist.PrefixStore("bench", store), control, cuda)  # type: ignore[attr-defined]
    try:
        yield processes
    finally:
        processes.close()


def _shortly(error: BaseException) -> str:
    """What a library says, without the place in its code and its advice."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[[^]]*\] ", "", line).partition(". This is")[0][:200]


def _of_connection(error: BaseException) -> bool:
    """Whether an error is that of a broken or silent connection.

    Gloo has no class of its own for them.
    """
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )
