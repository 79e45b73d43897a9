"""Export of frozen encoders with their front end as ONNX, from waveform to embedding.

The file is run and compared with PyTorch before it is kept.
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
"""Largest allowed difference from PyTorch's embedding, relative to its largest absolute value (or
to 1 where that is smaller).
"""
_ROUNDINGS = 2.0
"""Where PyTorch's own float32 differs from float64 by more than the tolerance, this many times that
difference is allowed.
"""


class _Whole(nn.Module):
    """Front end and encoder as one network, without a Fourier transform (`bench.data.folded`)."""

    def __init__(self, model: Pretrained) -> None:
        super().__init__()
        self.frontend, self.encoder = folded(model.frontend, model.samples), model.encoder

    def forward(self, waveform: Tensor) -> Tensor:
        """Maps waveforms to embeddings: (batch, samples) -> (batch, width)."""
        embedding: Tensor = self.encoder(self.frontend(waveform))
        return embedding


def write(model: Pretrained, path: Path) -> dict[str, Any]:
    """Writes a model with its front end as ONNX, runs it with onnxruntime, and compares.

    Args:
        model: the model, on the CPU.
        path: the file to write; its input is `waveform` (batch, samples), its output `embedding`
            (batch, width), for any batch size.

    Returns:
        What `config.json` says of the file: the opset, the largest difference from PyTorch that was
        found, and how far PyTorch's own float32 differs from float64 on the same waveforms.

    Raises:
        InputError: if the packages are not installed, the encoder cannot be written, or the file
            differs from PyTorch by more than the tolerance.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise InputError(f"--onnx needs {error.name}: pip install 'pretext-bench[onnx]'") from error
    name = model.config["encoder"]["name"]
    waveforms = check_waveforms(model)
    _export(model, waveforms, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = model(waveforms).numpy()
        exact = copy.deepcopy(model).double()(waveforms.double()).numpy()
    scale = max(1.0, float(np.abs(expected).max()))
    # All waveforms as one batch, then one by one: the file must take batches of any size.
    together, *single = [
        session.run(None, {"waveform": batch.numpy()})[0]
        for batch in (waveforms, *waveforms[:, None])
    ]
    written = (together, np.concatenate(single))
    furthest = max(float(np.abs(embedding - expected).max()) for embedding in written) / scale
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


def _export(model: Pretrained, waveforms: Tensor, path: Path) -> None:
    """Writes a model with its front end as ONNX, traced with the first two waveforms."""
    whole = _Whole(model).eval()
    try:
        with _quietly():
            program = torch.onnx.export(
                whole,
                (waveforms[:2],),
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
                input_names=["waveform"],
                output_names=["embedding"],
                dynamic_shapes={"waveform": {0: torch.export.Dim("batch", min=1)}},
            )
            assert program is not None
            program.save(path)
    # The encoder is anybody's code, and the exporter raises errors of many kinds about it.
    except Exception as error:
        name = model.config["encoder"]["name"]
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"encoder '{name}' cannot be written as ONNX: {first[0][:200]}; leave --onnx out"
        ) from error


def check_waveforms(model: Pretrained) -> Tensor:
    """Makes four waveforms on which two versions of a model are compared.

    They are noise, a fading chord, a rising tone with pauses, and silence, with a little noise
    under the tones as in every recording, and are the same on every machine.

    Returns:
        (4, samples) float32.
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
    """Silences the warnings and messages of torch's exporter, which do not concern the user."""
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
