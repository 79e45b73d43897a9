"""Messages of process 0, and a process 0 that is silent."""

import pytest
import torch
from torch.distributed import HashStore  # type: ignore[attr-defined]

from bench.core.errors import LostProcessError
from bench.core.world import World
from bench.stages.pretrain import messages
from bench.stages.pretrain.processes import Processes

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_gloo_available(), reason="this torch has no gloo"
)


def test_who_is_not_heard_of_is_given_up(monkeypatch):
    monkeypatch.setattr(messages, "_SILENCE_SECONDS", 0.3)
    waiting = Processes(World(1, 2), HashStore())
    with pytest.raises(LostProcessError, match="process 1 of 2 has lost another one"):
        next(waiting.orders())
