"""What pretrain and embed do, with objects in place of names. Each fills one folder."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from bench.core.errors import InputError
from bench.core.progress import say
from bench.core.randomness import seed_for
from bench.data.frontend import build_frontend
from bench.encoders import Encoder
from bench.method import Method, Settings, Task
from bench.settings.specs import RunSpec
from bench.settings.traits import Traits


@dataclass(frozen=True)
class Parts:
    """The plug-ins of one cell as objects.

    Attributes:
        method: the method's module.
        method_settings: its settings, defaults filled in.
        encoder: the encoder's module.
        encoder_settings: its settings, defaults filled in.
        traits: what the method says of itself.
    """

    method: ModuleType
    method_settings: Settings
    encoder: ModuleType
    encoder_settings: Any
    traits: Traits

    def build(
        self, spec: RunSpec, outputs: int, multi_label: bool, start: Path | None = None
    ) -> Method:
        """The method on its encoder; every method of one seed starts from the same one.

        Args:
            spec: the cell.
            outputs: tags or classes that it learns to predict; 0 without labels.
            multi_label: whether a track can have several.
            start: weights that the encoder starts from; None for those that the seed draws.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(spec.seed, "encoder"))
            encoder: Encoder = self.encoder.Encoder(self.encoder_settings)
            if start:
                _fill(encoder, start)
            torch.manual_seed(seed_for(spec.seed, "heads"))
            task = Task(spec.train.steps, spec.train.batch_size, outputs, multi_label)
            method: Method = self.method.Method(encoder, encoder.width, self.method_settings, task)
        return method


@dataclass(frozen=True)
class Labelled:
    """The labelled part of a data set at one fraction and draw.

    Attributes:
        rows: tracks of the training split whose labels may be used.
        targets: (tracks of the data set, tags) bool, or (tracks,) int for classes.
        without_positive: tags that no labelled track has.
        subset: hash of the labelled tracks' ids.
    """

    rows: NDArray[np.int64]
    targets: NDArray[np.bool_] | NDArray[np.int64]
    without_positive: int
    subset: str


def frontend_of(method: Method) -> nn.Module:
    """What the method's encoder takes the waveform through."""
    assert isinstance(method.encoder, Encoder)
    return build_frontend(method.encoder.frontend)


def encoder_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The encoder's tensors of a file of weights."""
    stored = safetensors.torch.load_file(path)
    return {
        name.removeprefix("encoder."): value
        for name, value in stored.items()
        if name.startswith("encoder.")
    }


def _fill(encoder: Encoder, path: Path) -> None:
    try:
        encoder.load_state_dict(encoder_tensors(path))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise InputError(
            f"weights {path.stem} do not fit the encoder: {' '.join(lines)[:300]}"
        ) from error


def load(
    parts: Parts, spec: RunSpec, outputs: int, multi_label: bool, folder: Path, device: torch.device
) -> Method:
    """The frozen encoder (and classifier) of a pretraining product.

    Heads of the pretext task are freshly drawn.
    """
    method = parts.build(spec, outputs if parts.traits.uses_labels else 0, multi_label)
    stored = safetensors.torch.load_file(folder / "weights.safetensors")
    missing, unexpected = method.load_state_dict(stored, strict=False)
    wrong = [name for name in missing if name.startswith(("encoder.", "classifier."))] + unexpected
    if wrong:
        raise RuntimeError(f"{folder} does not fit the encoder: {wrong[:3]}")
    return method.to(device).eval()


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is a GPU where there is one."""
    return torch.device(
        ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    )


def device_name(device: torch.device) -> str:
    """What trained, for the record."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"


def tell(notes: list[str], title: str) -> None:
    """Says what a stage had to do otherwise than asked."""
    for note in notes:
        say(f"{title}: {note}")
