"""Frozen encoders as ONNX: waveform in, embedding out, front end inside.

Compared with PyTorch before it is kept.
"""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.errors import InputError
from bench.core.randomness import generator
from bench.data.folded import folded
from bench.pretrained import Pretrained

OPSET = 20
TOLERANCE = 1e-5
"""Largest difference to PyTorch's embedding, as a share of its largest number (where that is above
1).
"""
_ROUNDINGS = 2.0
"""Where PyTorch's own float32 lies further from float64 than the tolerance, this many times as far
is allowed.
"""


class _Whole(nn.Module):
    def __init__(self, model: Pretrained) -> None:
        super().__init__()
        self.frontend, self.encoder = folded(model.frontend, model.samples), model.encoder

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) -> (batch, width)."""
        embedding: Tensor = self.encoder(self.frontend(waveform))
        return embedding


def write(model: Pretrained, path: Path) -> dict[str, Any]:
    """Writes a model with its front end as ONNX, runs it with onnxruntime, and compares.

    Args:
        model: on the CPU.
        path: of the file; input `waveform` (batch, samples), output `embedding` (batch, width), any
            batch.

    Returns:
        What `config.json` says of the file: opset, the largest difference to PyTorch that was
        found, and how far PyTorch's own float32 lies from float64 on the same waveforms.

    Raises:
        InputError: the packages are not installed, the encoder cannot be written, or the file
            differs from PyTorch.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise InputError(f"--onnx needs {error.name}: pip install 'pretext-bench[onnx]'") from error
    name = model.config["encoder"]["name"]
    waveforms, whole = check_waveforms(model), _Whole(model).eval()
    try:
        with _quietly():
            program = torch.onnx.export(
                whole, (waveforms[:2],), dynamo=True, opset_version=OPSET, verbose=False,
                input_names=["waveform"], output_names=["embedding"],
                dynamic_shapes={"waveform": {0: torch.export.Dim("batch", min=1)}},
            )  # fmt: skip
            assert program is not None
            program.save(path)
    except (
        Exception
    ) as error:  # whatever the encoder, and the exporter at its opinion of it, may raise
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"encoder '{name}' cannot be written as ONNX: {first[0][:200]}; leave --onnx out"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = model(waveforms).numpy()
        exact = copy.deepcopy(model).double()(waveforms.double()).numpy()
    scale = max(1.0, float(np.abs(expected).max()))
    found = [
        session.run(None, {"waveform": part.numpy()})[0]
        for part in (waveforms, *waveforms[:, None])
    ]  # any batch
    furthest = (
        max(float(np.abs(part - expected).max()) for part in (found[0], np.concatenate(found[1:])))
        / scale
    )
    rounding = float(np.abs(exact - expected).max()) / scale
    if not furthest <= max(TOLERANCE, _ROUNDINGS * rounding):
        raise InputError(
            f"encoder '{name}' as ONNX differs from PyTorch by {furthest:.1e}; leave --onnx out"
        )
    return {
        "opset": OPSET,
        "largest_difference": furthest,
        "rounding_of_pytorch": rounding,
        "tolerance": TOLERANCE,
    }


def check_waveforms(model: Pretrained) -> Tensor:
    """(4, samples): noise, a chord that fades, a rising tone with pauses, and silence.

    The same whatever the machine. A little noise lies under the tones, as in every recording.
    """
    time = np.arange(model.samples) / model.sample_rate
    noise = 0.1 * generator(0, "check of an export", 0).standard_normal(model.samples)
    chord = sum(
        0.2 * np.sin(2 * np.pi * pitch * time) for pitch in (220.0, 277.18, 329.63)
    ) * np.exp(-2 * time)
    rising = 0.5 * np.sin(2 * np.pi * (200 + 400 * time) * time) * (time % 1.0 < 0.5)
    stacked = np.stack([noise, chord + 0.01 * noise, rising + 0.01 * noise, 0 * noise])
    return torch.from_numpy(stacked.astype(np.float32))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps the exporter's remarks on its own insides from the user."""
    loggers = [
        logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx", "torch.export")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
