"""MERT, a HuBERT trained on music, with published weights that are read from a local folder.

Y. Li et al., "MERT: Acoustic Music Understanding Model with Large-Scale Self-supervised Training",
ICLR 2024 (arXiv 2306.00107). Put the files of m-a-p/MERT-v1-95M or MERT-v1-330M into a folder, then
`bench run --method imported --encoder mert --encoder.folder PATH`. Their licence is CC BY-NC 4.0.

The code that comes with those files is not run. It equals transformers' `HubertModel` except for
two options that the published models leave off, constant-Q features and DeepNorm (modeling_MERT.py;
its relaxed attention belongs to DeepNorm), so that `HubertModel` computes the same. A folder that
turns them on is refused.
"""

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor
from transformers import HubertConfig, HubertModel

from bench.core.errors import InputError
from bench.core.external import description, weights_of
from bench.encoders._external import ExternalEncoder
from bench.encoders._external import Settings as ExternalSettings

PAPER = "Li et al., ICLR 2024 (arXiv 2306.00107)"
COST = "94 M parameters; a GPU"
SAMPLE_RATE = 24_000
INPUT = "waveform"
EXTERNAL = "folder"

_OFF = ("feature_extractor_cqt", "deepnorm")
# Added to a segment's variance, as in transformers'
# Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm.
_VARIANCE = 1e-7
_NAMED = 3  # tensors that a message names
# Older names of the tensors of torch's weight normalisation, and the newer ones.
_RENAMED = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}


class Settings(ExternalSettings):
    """Settings of MERT.

    Attributes:
        seconds: length of a segment; MERT was trained on 5 s.
    """

    seconds: float = Field(5.0, gt=0.3, le=60)


class Encoder(ExternalEncoder):
    """HuBERT on waveforms, whose layers are averaged and pooled over time."""

    def __init__(self, settings: Settings) -> None:
        """Builds the network that the folder's `config.json` describes, with fresh weights.

        Args:
            settings: the folder, and the layers and the pooling.

        Raises:
            InputError: if the folder holds no such model, one of another sample rate, or one with
                fewer layers than asked for.
        """
        super().__init__(settings)
        described = description(settings.path, "config.json")
        takes = description(settings.path, "preprocessor_config.json")
        _require_plain(settings.path, described, takes)
        # Masking belongs to MERT's pretext task, and would draw from an unseeded generator.
        config = HubertConfig.from_dict(
            {**described, "model_type": "hubert", "apply_spec_augment": False}
        )
        if settings.layers and max(settings.layers) > config.num_hidden_layers:
            raise InputError(
                f"encoder.layers: {settings.path} has layers 0 to {config.num_hidden_layers}"
            )
        self.normalised = bool(takes.get("do_normalize", True))
        self.model: Any = HubertModel(config)
        self.width = int(config.hidden_size)

    def hidden_states(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Computes the hidden states of all layers; see the base class."""
        if self.normalised:
            mean = waveform.mean(dim=1, keepdim=True)
            variance = waveform.var(dim=1, correction=0, keepdim=True)
            waveform = (waveform - mean) / (variance + _VARIANCE).sqrt()
        states: tuple[Tensor, ...] = self.model(waveform, output_hidden_states=True).hidden_states
        return states

    def restore(self) -> None:
        """Replaces the freshly drawn weights by those of the folder.

        Raises:
            InputError: if tensors are missing, unexpected or of another shape, or the file
                contains code.
        """
        path = weights_of(self.settings.path)
        given = {_renamed(name): value for name, value in _read(path).items()}
        expected = self.model.state_dict()
        wrong = [f"{name} is missing" for name in expected if name not in given]
        wrong += [f"{name} is unexpected" for name in given if name not in expected]
        for name in expected.keys() & given.keys():
            if expected[name].shape != given[name].shape:
                wrong.append(
                    f"{name} is {list(given[name].shape)}, expected {list(expected[name].shape)}"
                )
        if wrong:
            more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            raise InputError(
                f"{path} does not fit its config.json: {'; '.join(wrong[:_NAMED])}{more}"
            )
        self.model.load_state_dict(given)


def _require_plain(folder: Path, described: dict[str, Any], takes: dict[str, Any]) -> None:
    """Refuses models that `HubertModel` would silently compute otherwise, and other sample rates.

    Args:
        folder: folder of the model.
        described: content of its `config.json`.
        takes: content of its `preprocessor_config.json`.
    """
    for option in _OFF:
        if described.get(option):
            raise InputError(
                f"{folder}: {option} is {described[option]}; this adapter reads models without it"
            )
    rates = {described.get("sample_rate"), takes.get("sampling_rate")} - {None}
    if rates != {SAMPLE_RATE}:
        stated = " and ".join(f"{rate} Hz" for rate in sorted(rates, key=str)) or "no sample rate"
        raise InputError(
            f"{folder} says {stated}; encoder 'mert' reads models of {SAMPLE_RATE} Hz, "
            "such as MERT-v1-95M"
        )


def _renamed(name: str) -> str:
    """Brings a tensor's name in the file to that in transformers' `HubertModel`."""
    name = name.removeprefix("hubert.")
    for old, new in _RENAMED.items():
        name = name.removesuffix(old) + new if name.endswith(old) else name
    return name


def _read(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a file without running code in it."""
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        with warnings.catch_warnings():
            # torch warns of the version that the file was written with.
            warnings.simplefilter("ignore", UserWarning)
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} carries more than tensors, which could be code: it is not opened"
        ) from error
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        zipfile.BadZipFile,
        safetensors.SafetensorError,
    ) as error:
        raise InputError(f"{path} is damaged ({str(error).splitlines()[0][:100]})") from error
    if not isinstance(tensors, dict) or not all(
        isinstance(value, Tensor) for value in tensors.values()
    ):
        raise InputError(f"{path}: expected tensors by name")
    return tensors
