"""Encoders written as ONNX give the embeddings of PyTorch, or are not kept."""

import numpy as np
import pytest
import torch

from bench import pretrained
from bench.core.errors import InputError
from bench.core.store import Store
from bench.data.decode import decode
from bench.data.folded import folded
from bench.data.frontend import build_frontend
from bench.settings.frontends import LogMelSpec, MfccSpec
from bench.weights import export, onnx
from tests.weights.runs import run_of


@pytest.mark.parametrize(
    "spec",
    [
        LogMelSpec(sample_rate=16_000, mels=64, f_max=8_000, offset_db=30, scale_db=20),
        LogMelSpec(sample_rate=16_000, f_max=11_025),
        MfccSpec(sample_rate=16_000),
    ],
)
def test_front_ends_without_a_fourier_transform_are_the_same(spec):
    frontend = build_frontend(spec)
    waveforms = 0.1 * torch.randn(3, 20_000, generator=torch.Generator().manual_seed(0))
    waveforms[1] *= 1e-3
    waveforms[2] = 0
    found, expected = folded(frontend, 20_000)(waveforms), frontend(waveforms)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-4)  # of decibels in the tens


@pytest.mark.parametrize("method", ["vicreg", "mfcc"])
def test_onnx_is_equal_to_pytorch(place, tmp_path, method):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    made = export.export(
        run_of(place, method), Store(place / ".bench"), place / "results", tmp_path / "out", True
    )
    assert made.onnx is not None
    assert made.onnx["largest_difference"] <= 1e-5
    model = pretrained.load(tmp_path / "out")
    session = onnxruntime.InferenceSession(
        str(tmp_path / "out/model.onnx"), providers=["CPUExecutionProvider"]
    )
    audio = [
        decode(path, model.sample_rate).samples[: model.samples]
        for path in (place / "tones/audio").glob("*.wav")
    ]
    waveforms = np.stack(audio).astype(np.float32) / 32767
    for part in (waveforms, waveforms[:1]):  # any batch
        (found,) = session.run(None, {"waveform": part})
        with torch.no_grad():
            expected = model(torch.from_numpy(part)).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


class _Louder(torch.nn.Sequential):
    """A front end that is a little wrong."""

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return 1.001 * super().forward(waveform)


def test_an_onnx_file_that_differs_is_not_kept(place, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(
        onnx, "folded", lambda frontend, samples: _Louder(folded(frontend, samples))
    )
    with pytest.raises(InputError, match="differs from PyTorch"):
        export.export(
            run_of(place, "mfcc"),
            Store(place / ".bench"),
            place / "results",
            tmp_path / "out",
            True,
        )
    assert not list(tmp_path.iterdir())
