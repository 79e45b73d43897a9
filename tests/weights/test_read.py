"""Checkpoints are read without running code; what is no checkpoint is refused in one line."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from bench.weights.read import read_checkpoint
from tests.reference_networks import Clmrs
from tests.weights.files import save, under

pytestmark = pytest.mark.usefixtures("one_thread")
RAN: list[str] = []


def run_me(word: str) -> str:
    """What a pickle with code in it would call."""
    RAN.append(word)
    return word


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return run_me, ("boom",)


class Shell:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle", "new pickle"])
def test_code_in_a_checkpoint_is_refused_and_not_run(refused, tmp_path, how):
    file, mark = tmp_path / "evil.pt", tmp_path / "ran"
    content = {"state_dict": under("encoder.", Clmrs()), "extra": [Bomb(), Shell(f"touch {mark}")]}
    if "pickle" in how:
        file.write_bytes(pickle.dumps(content["extra"], protocol=4 if how == "new pickle" else 2))
    else:
        save(file, content, _use_new_zipfile_serialization=how == "zip")
    said = refused(file)
    assert "is refused: it names " in said
    assert "run_me" in said or "system" in said
    assert "torch.save(model.state_dict(), ...) or safetensors" in said
    assert not RAN
    assert not mark.exists()


def test_a_whole_network_is_refused_by_its_class(refused, tmp_path):
    assert "torch.nn.modules.linear.Linear" in refused(save(tmp_path / "net.pt", nn.Linear(2, 2)))


def test_classes_that_lightning_names_are_not_needed(tmp_path):
    from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

    callbacks = {
        ModelCheckpoint: {"best_model_score": np.float64(0.5), "dirpath": Path("/x")},
        EarlyStopping: {"wait": 1},
    }
    file = save(
        tmp_path / "x.ckpt",
        {"callbacks": callbacks, "state_dict": {"a": torch.ones(2)}, "epoch": 1},
    )
    found = read_checkpoint(file)
    assert set(found.tensors) == {"a"}
    assert found.others == ("callbacks", "epoch")
    assert len(found.sha256) == 64


def broken(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no checkpoints, and what is said of each."""
    good = save(folder / "good.pt", {"encoder.a": torch.randn(2_000)}).read_bytes()
    changed = read_checkpoint(folder / "good.pt").tensors["encoder.a"].numpy().tobytes()
    tensors = safetensors.torch.save({"encoder.a": torch.randn(2_000)})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("weights/byol.pt", good)
        opened.writestr("weights/README.txt", "words")
    script = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), script)
    legacy = io.BytesIO()
    torch.save({"a": torch.randn(2_000)}, legacy, _use_new_zipfile_serialization=False)
    contents = {
        "empty.pt": (b"", "is empty"),
        "cut.pt": (good[:-500], "is cut short or damaged"),
        "begun.pt": (good[:100], "is cut short or damaged"),
        "legacy.pt": (legacy.getvalue()[:-4_000], "is cut short or damaged"),
        "cut.safetensors": (tensors[:-10], "damaged or cut-off safetensors"),
        "begun.safetensors": (tensors[:20], "safetensors"),
        "flipped.pt": (
            good.replace(changed, changed[::-1]),
            "is damaged (the checksum of good/data/0 is another)",
        ),
        "noise.pt": (bytes(range(1, 256)) * 9, "neither safetensors nor what torch.save writes"),
        "pickled.pt": (b"\x80\x02noise", "is cut short or damaged"),
        "page.pt": (b"\n<!DOCTYPE html><html>sign in</html>", "is a web page"),
        "lfs.pt": (b"version https://git-lfs.github.com/spec/v1\noid", "pointer of Git LFS"),
        "weights.zip": (
            archive.getvalue(),
            "is an archive: unpack it and give one of weights/byol.pt",
        ),
        "weights.tar.gz": (b"\x1f\x8b\x08rest", "compressed archive"),
        "script.pt": (script.getvalue(), "TorchScript program"),
        "list.pt": (_saved([torch.ones(2)]), "holds no tensors by name (found: list)"),
        "nothing.pt": (_saved({}), "holds no tensors by name (found: nothing)"),
        "numbers.pt": (_saved({"epoch": 3}), "holds no tensors by name (found: epoch)"),
        "sparse.pt": (_saved({"a": torch.eye(3).to_sparse()}), "a is sparse"),
        "strange.pt": (
            _saved({"a.b": torch.ones(3)}),
            "cannot tell the format from the names in the file (a.b)",
        ),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    return {name: (folder / name, words) for name, (_, words) in contents.items()}


def _saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_files_that_are_no_checkpoints(refused, tmp_path):
    for file, words in broken(tmp_path).values():
        said = refused(file)
        assert words in said, (file.name, said)
        assert file.name in said
    assert "no such file" in refused(tmp_path / "none.pt")
    assert "is a directory" in refused(tmp_path)
