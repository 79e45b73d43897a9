"""Messages from process 0 to the others, through the key-value store that all of them met at.

No GPU is waited for. A process that waits for a message gives up when process 0 has shown no sign
of life for a while: where a whole machine vanishes, no connection is closed that would tell.
"""

import json
import threading
import time
from contextlib import suppress
from typing import Any

from bench.core.world import World

Tree = dict[str, Any]
"""Whatever JSON can hold."""

_SILENCE_SECONDS = 300.0
"""How long after its last sign of life process 0 is taken for dead."""

_BEAT_SECONDS = 5.0
"""Time between two signs of life."""

_FAREWELL_SECONDS = 30.0
"""How long process 0 waits in the end until the others have left."""


class Messages:
    """The messages of process 0, told by it or heard by another process, one after another."""

    def __init__(self, store: Any, world: World) -> None:
        """Begins to show signs of life where this is process 0 and there are others.

        Args:
            store: the store of torch.distributed that the processes met at; None for a process that
                is alone, which has nobody to tell.
            world: which process this is.
        """
        self._store, self._world = store, world
        self._number = 0  # of messages told or heard so far
        self._over = threading.Event()
        if world.size > 1 and world.rank == 0:
            # A daemon, so that a process that ends by an error does not wait for it.
            threading.Thread(target=self._beat, daemon=True).start()

    def tell(self, message: Tree) -> None:
        """Tells the next message to all other processes."""
        self._store.set(f"message {self._number}", json.dumps(message))
        self._number += 1

    def hear(self) -> Tree:
        """Waits for the next message, however long it takes, as long as process 0 lives.

        Raises:
            RuntimeError: the store is gone.
            TimeoutError: process 0 shows no sign of life.
        """
        key, beat, since, pause = f"message {self._number}", b"", time.monotonic(), 0.001
        # Asked again and again, as the store's own wait would not notice that the beat has stopped.
        while not self._store.check([key]):
            latest = self._store.get("beat") if self._store.check(["beat"]) else b""
            if latest != beat:
                beat, since = latest, time.monotonic()
            if time.monotonic() - since > _SILENCE_SECONDS:
                raise TimeoutError(f"no sign of life for {_SILENCE_SECONDS:.0f} s")
            time.sleep(pause)
            pause = min(0.25, pause * 1.5)
        self._number += 1
        message: Tree = json.loads(self._store.get(key))
        return message

    def ask_to_stop(self, reason: str) -> None:
        """Lets all processes know why this one was told to stop."""
        self._store.set("stop", reason)

    def reason_to_stop(self) -> str:
        """Waits until a process has said why it was told to stop."""
        reason: bytes = self._store.get("stop")
        return reason.decode()

    def end(self, wait: bool) -> None:
        """Ends all messages, after the last one.

        Args:
            wait: whether process 0, which may keep the store, waits until the others have left:
                without the store they could not hear the last message.
        """
        with suppress(RuntimeError):  # the store is gone already
            if self._world.rank > 0:
                self._store.set(f"gone {self._world.rank}", "")
            elif wait:
                others = [f"gone {rank}" for rank in range(1, self._world.size)]
                until = time.monotonic() + _FAREWELL_SECONDS
                while not self._store.check(others) and time.monotonic() < until:
                    time.sleep(0.02)
        self._over.set()

    def _beat(self) -> None:
        """Shows signs of life until the end: a number that grows."""
        beats = 0
        with suppress(RuntimeError):  # the store is gone, and so is the process that keeps it
            while True:
                self._store.set("beat", str(beats))
                beats += 1
                if self._over.wait(_BEAT_SECONDS):
                    return
