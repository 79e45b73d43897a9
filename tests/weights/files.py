"""Files of weights, and audio on which networks are compared."""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from bench.core import registry
from bench.data.frontend import build_frontend
from bench.encoders import Encoder
from bench.weights.imported import read_imported
from tests.reference_networks import trained

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
SMALL = {"width": 4, "embedding": 16, "heads": 2, "seconds": 1.0}
SMALL_FLAGS = [part for name, value in SMALL.items() for part in (f"--encoder.{name}", str(value))]


def music(rate: int, samples: int, items: int = 3) -> Tensor:
    """Chords with noise, one of them quiet, one with a silent half."""
    time = np.arange(samples) / rate
    draw = np.random.default_rng(0)
    rows = []
    for item in range(items):
        tones = sum(np.sin(2 * np.pi * f * (item + 1) * time) for f in (110.0, 277.2, 659.3))
        rows.append(0.2 * tones + 0.02 * draw.normal(size=samples))
    rows[1] *= 0.01
    rows[2][samples // 2 :] = 0
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def save(path: Path, content: Any, **how: Any) -> Path:
    """Saves by `torch.save`, and returns the path."""
    torch.save(content, path, **how)
    return path


def under(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """The network's tensors by their names after a prefix."""
    return {prefix + name: value for name, value in network.state_dict().items()}


def embed(path: Path, audio: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Embeddings of audio by an imported file alone, and the tensors of its classifier."""
    about = read_imported(path)
    module = registry.load("encoders", about.encoder)
    encoder = module.Encoder(module.Settings(**about.settings)).eval()
    stored = safetensors.torch.load_file(path)
    heads = {name: value for name, value in stored.items() if name.startswith("classifier.")}
    encoder.load_state_dict(
        {name.removeprefix("encoder."): stored[name] for name in stored.keys() - heads.keys()}
    )
    with torch.no_grad():
        return encoder(build_frontend(encoder.frontend)(audio)), heads


def own_weights(name: str, **settings: object) -> tuple[Encoder, dict[str, Tensor]]:
    """An encoder of this project, and its weights as a pretraining stores them."""
    module = registry.load("encoders", name)
    encoder: Encoder = trained(module.Encoder(module.Settings(**settings)))
    return encoder, under("encoder.", encoder)
