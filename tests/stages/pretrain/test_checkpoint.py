"""Checkpoints: a damaged one is named and never gone on from."""

from pathlib import Path

import pytest
import torch

from bench.stages.pretrain import checkpoint
from bench.stages.pretrain.processes import ALONE

STATE = {"step": 3, "method": {"weight": torch.arange(6.0)}, "history": [1.5]}
CPU = torch.device("cpu")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    assert checkpoint.load(path, STATE, CPU, ALONE) is None
    checkpoint.save(path, STATE, ALONE)
    state = checkpoint.load(path, STATE, CPU, ALONE)
    assert state is not None
    assert state["step"] == 3
    assert torch.equal(state["method"]["weight"], torch.arange(6.0))


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("kind", ["flipped", "cut", "lengthened"])
def test_a_damaged_one_is_not_gone_on_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, place: float
) -> None:
    path = tmp_path / "state.pt"
    checkpoint.save(path, STATE, ALONE)
    content = bytearray(path.read_bytes())
    at = round(place * (len(content) - 1))
    if kind == "flipped":
        content[at] ^= 4
    elif kind == "cut":
        del content[at:]
    else:
        content[at:at] = b"\0"
    path.write_bytes(content)
    assert checkpoint.load(path, STATE, CPU, ALONE) is None
    assert "state.pt is damaged: training begins anew" in capsys.readouterr().err
