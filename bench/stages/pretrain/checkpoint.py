"""The checkpoint of a training: a file of process 0, from which all processes go on.

The file ends with the SHA-256 of what stands before, so that a damaged one is never gone on from:
torch would read a file that was cut for ever, and a changed number without a word.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from bench.core.progress import say
from bench.core.store import write_atomically
from bench.stages.pretrain.processes import Processes

_DIGEST_BYTES = 32
State = dict[str, Any]
"""All that changes as training goes on: tensors, numbers and containers of them."""


def save(path: Path, state: State, processes: Processes) -> None:
    """Writes a checkpoint; only process 0 does."""
    if processes.first:
        content = _encoded(state)
        write_atomically(path, content + hashlib.sha256(content).digest())


def load(path: Path, begin: State, device: torch.device, processes: Processes) -> State | None:
    """Reads a checkpoint.

    Several processes go on, or begin, from what process 0 has: where it has no checkpoint it sends
    the state in which it begins, as the starting weights of the others might differ.

    Args:
        path: the file, which only process 0 looks for.
        begin: the state without a checkpoint.
        device: where tensors go.
        processes: the processes that train together.

    Returns:
        The state to go on from; None for the one in which this process is already.
    """
    content = _whole(path) if processes.first and path.exists() else b""
    if processes.size > 1:
        content = processes.of_first(content or (_encoded(begin) if processes.first else b""))
    if not content:
        return None
    state: State = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return state


def _whole(path: Path) -> bytes:
    """The content of a checkpoint; nothing, with a line that says so, where it is damaged."""
    stored = path.read_bytes()
    content, digest = stored[:-_DIGEST_BYTES], stored[-_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() == digest:
        return content
    say(f"{path} is damaged: training begins anew")
    return b""


def _encoded(state: State) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
