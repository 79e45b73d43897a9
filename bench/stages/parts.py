"""What a cell is computed from, as objects: its plug-ins, its data and its labelled tracks.

The stages share these; each stage's own work lies in its folder.
"""

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
from bench.core.randomness import seed_for
from bench.data.frontend import build_frontend
from bench.data.prepared import Prepared
from bench.encoders import Encoder
from bench.method import Method, Settings, Task
from bench.settings.base import Spec
from bench.settings.specs import RunSpec
from bench.settings.traits import Traits
from bench.stages.keys import Keys


@dataclass(frozen=True)
class Parts:
    """The plug-ins of one cell as objects, and their settings with all defaults filled in.

    Attributes:
        method: the method's module.
        method_settings: the settings of the method.
        encoder: the encoder's module.
        encoder_settings: the settings of the encoder.
        dataset_settings: the settings of the data set that is probed.
        pretrain_dataset_settings: the settings of the data set that is pretrained on.
        traits: what the method says of itself.
    """

    method: ModuleType
    method_settings: Settings
    encoder: ModuleType
    encoder_settings: Any
    dataset_settings: Spec
    pretrain_dataset_settings: Spec
    traits: Traits

    def build(
        self, spec: RunSpec, outputs: int, multi_label: bool, start: Path | None = None
    ) -> Method:
        """The method on its encoder; with one seed every method starts from the same encoder.

        Args:
            spec: the cell.
            outputs: tags or classes that the method learns to predict; 0 without labels.
            multi_label: whether a track can have several tags.
            start: weights that the encoder starts from; None for those that the seed draws.

        Raises:
            InputError: the weights do not fit the encoder.
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
        without_positive: number of tags that no labelled track has.
        subset: hash of the labelled tracks' ids.
    """

    rows: NDArray[np.int64]
    targets: NDArray[np.bool_] | NDArray[np.int64]
    without_positive: int
    subset: str


@dataclass(frozen=True)
class Cell:
    """A cell with everything opened that it is computed from.

    Attributes:
        index: its place among the cells asked for.
        spec: what was asked for.
        parts: its plug-ins.
        data: the data set that is probed.
        audio: the data set that is pretrained on.
        rows: tracks of `audio` that are pretrained on.
        keys: keys of its products.
        labels: its labelled tracks.
    """

    index: int
    spec: RunSpec
    parts: Parts
    data: Prepared
    audio: Prepared
    rows: NDArray[np.int64]
    keys: Keys
    labels: Labelled

    def load(self, pretrained: Path, device: torch.device) -> Method:
        """The frozen encoder (and classifier) of the cell's pretraining product."""
        multi_label = self.data.kind == "tags"
        return load(self.parts, self.spec, len(self.data.tags), multi_label, pretrained, device)


def frontend_of(method: Method) -> nn.Module:
    """The front end that the method's encoder takes the waveform through."""
    assert isinstance(method.encoder, Encoder)
    return build_frontend(method.encoder.frontend)


def encoder_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The encoder's tensors of a file of weights, by their names in the encoder."""
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
        reason = " ".join(lines)[:300]
        raise InputError(f"weights {path.stem} do not fit the encoder: {reason}") from error


def load(
    parts: Parts, spec: RunSpec, outputs: int, multi_label: bool, folder: Path, device: torch.device
) -> Method:
    """The frozen encoder (and classifier) of a product of pretraining, in evaluation mode.

    The heads of the pretext task are freshly drawn: they are not kept.

    Args:
        parts: the plug-ins.
        spec: the cell.
        outputs: tags or classes of the data set.
        multi_label: whether a track can have several tags.
        folder: of the product.
        device: where the method is put.
    """
    method = parts.build(spec, outputs if parts.traits.uses_labels else 0, multi_label)
    stored = safetensors.torch.load_file(folder / "weights.safetensors")
    missing, unexpected = method.load_state_dict(stored, strict=False)
    wrong = [name for name in missing if name.startswith(("encoder.", "classifier."))] + unexpected
    if wrong:
        raise RuntimeError(f"{folder} does not fit the encoder: {wrong[:3]}")
    return method.to(device).eval()
