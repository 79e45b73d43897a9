"""Every encoder: shapes, sizes of the papers, settings, items of a batch, and a short run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from bench.core import registry
from bench.data import augment
from bench.data.frontend import build_frontend, to_waveform
from bench.settings.frontends import LogMelSpec
from tests.conftest import RATE, tone, write_csv
from tests.encoders.networks import build, inputs, module, size, waveforms

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ["sample_cnn", "tune", "tune_plus", "short_chunk_cnn"]
INPUTS = {
    "mfcc": "mfcc",
    "resnet": "log_mel",
    "resnet_small": "log_mel",
    "short_chunk_cnn": "log_mel",
}
INPUTS |= dict.fromkeys(("sample_cnn", "tune", "tune_plus"), "waveform")
# External encoders need files of their own; see test_mert.py.
OWN = [
    name
    for name in registry.names("encoders")
    if "EXTERNAL" not in registry.describe("encoders", name)
]


@pytest.mark.parametrize("name", OWN)
def test_every_encoder(name):
    encoder = build(name)
    inputs = build_frontend(encoder.frontend)(waveforms(encoder))
    with torch.no_grad():
        embedded = encoder(inputs)
    assert embedded.shape == (3, encoder.width)
    assert torch.isfinite(embedded).all()
    assert not torch.allclose(embedded[0], embedded[1])
    about = registry.describe("encoders", name)
    assert {"PAPER", "COST", "SAMPLE_RATE", "summary"} <= set(about)
    assert about["summary"].endswith(".")


@pytest.mark.parametrize("name", OWN)
def test_an_item_does_not_depend_on_its_batch(name):
    encoder = build(name)
    frontend = build_frontend(encoder.frontend)
    audio = waveforms(encoder)
    audio[1] *= 1e-3  # beside a loud neighbour, a quiet item must keep its own dynamic range
    with torch.no_grad():
        together, alone = encoder(frontend(audio))[1], encoder(frontend(audio[1:2]))[0]
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", registry.names("encoders"))
def test_every_encoder_says_what_it_takes(name):
    kind = registry.describe("encoders", name)["INPUT"]
    assert kind in ("waveform", "log_mel", "mfcc")
    if name in INPUTS:  # others may need files of their own before they can be built
        assert kind == INPUTS[name]
        frontend = build(name).frontend
        assert kind.replace("_", "") == (
            type(frontend).__name__.removesuffix("Spec").lower() if frontend else "waveform"
        )


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sample_cnn", 2_368_512),
        ("tune", 2_096_970),
        ("tune_plus", 2_220_390),
        ("short_chunk_cnn", 3_661_698),
    ],
)
def test_sizes_are_the_papers(name, parameters):
    encoder = build(name)
    assert size(encoder) == parameters
    assert encoder.width == 512


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    encoder = build(name).train()
    given = inputs(encoder, module(name).SAMPLE_RATE)
    (encoder(given) * torch.randn(2, encoder.width)).sum().backward()
    for label, parameter in encoder.named_parameters():
        assert parameter.grad is not None, label
        assert torch.isfinite(parameter.grad).all(), label
        # The gradient of a bias before a normalisation is zero except for rounding.
        if parameter.ndim > 1:
            assert parameter.grad.abs().sum() > 0, label


@pytest.mark.parametrize("name", NAMES)
def test_an_item_is_the_same_alone_and_among_others(name):
    encoder = build(name)
    given = inputs(encoder, module(name).SAMPLE_RATE, batch=3)
    with torch.no_grad():
        together, alone = encoder(given), encoder(given[1:2])
    assert alone.shape == (1, encoder.width)
    torch.testing.assert_close(together[1:2], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        (
            "sample_cnn",
            {"seconds": 3.0},
            "66150 samples at 22050 Hz; ten divisions by 3 need 59049.*give 2.67796",
        ),
        ("tune", {"seconds": 3.0}, "give a multiple of 19683, such as 59049 .seconds 2.67796"),
        ("tune_plus", {"seconds": 0.1}, "give a multiple of 19683, such as 19683 .seconds 0.89265"),
        ("tune", {"decoding": 5}, "decoding 5 does not fit contraction 0: give 1 to 4, or 0"),
        ("tune", {"contraction": 2, "decoding": 1}, "give 2 to 6"),
        ("tune", {"contraction": 1, "decoding": 1, "tail": 0}, "no block is left for the tail"),
        (
            "tune",
            {"decoding": 0, "channels": 34, "tail": 0},
            "has no channels, tail: leave channels out",
        ),
        ("tune", {"decoding": 0, "seconds": 0.89265}, "ten divisions by 3 need 59049"),
        ("tune_plus", {"decoding": 0}, "greater than or equal to 1"),
        (
            "short_chunk_cnn",
            {"seconds": 1.0},
            "63 frames, which cannot be halved 7 times: give 2.032 s or more",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(name, settings, words):
    with pytest.raises(ValueError, match=words):
        module(name).Settings(**settings)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("sample_cnn", 2.67796), ("tune", 1.78531), ("tune", 0.89265), ("short_chunk_cnn", 2.032)],
)
def test_the_lengths_that_are_named_fit(name, seconds):
    encoder = build(name, seconds=seconds)
    with torch.no_grad():
        assert encoder(inputs(encoder, module(name).SAMPLE_RATE, batch=1)).shape == (1, 512)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """12 short tracks of three tones, 6 for training."""
    rows: list[dict[str, object]] = []
    for number in range(12):
        name, frequency = [("low", 200.0), ("middle", 600.0), ("high", 1800.0)][number % 3]
        soundfile.write(tmp_path / f"{number}.wav", tone(frequency, 1.0, number), RATE)
        split = ("train", "train", "valid", "test")[number // 3]
        rows.append(
            {"path": f"{number}.wav", "label": name, "split": split, "group": f"artist {number}"}
        )
    return write_csv(tmp_path / "tracks.csv", rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_runs_on_it(main, few, name):
    budget = [
        "--steps",
        2,
        "--train.batch_size",
        3,
        "--train.diagnose_times",
        1,
        "--probe.steps",
        2,
        "--resamples",
        20,
    ]
    heads = ["--method.hidden", 16, "--method.output", 16]
    status, out, err = main(
        "run",
        "--method",
        "vicreg",
        "--encoder",
        name,
        "--dataset",
        few,
        *budget,
        *heads,
        "--device",
        "cpu",
    )
    assert status == 0, err
    assert "vicreg" in out


def test_log_mel_of_a_tone_peaks_in_its_band():
    spec = LogMelSpec(sample_rate=16_000, mels=64, f_max=8_000)
    time = torch.arange(16_000) / 16_000
    low, high = (
        build_frontend(spec)(0.5 * torch.sin(2 * torch.pi * f * time)[None])[0, 0].mean(1)
        for f in (300.0, 3_000.0)
    )
    assert low.argmax() < 12
    assert 30 < high.argmax() < 50
    assert low.max() - low.min() <= 100.01


def test_log_mel_offset_and_scale():
    plain = LogMelSpec(sample_rate=16_000, mels=64, f_max=8_000)
    scaled = plain.model_copy(update={"offset_db": 30.0, "scale_db": 20.0})
    audio = 0.1 * torch.randn(2, 8_000)
    torch.testing.assert_close(
        build_frontend(scaled)(audio), (build_frontend(plain)(audio) + 30) / 20
    )


def test_int16_to_waveform_keeps_full_scale():
    samples = torch.tensor([[-32767, 0, 32767]], dtype=torch.int16)
    assert to_waveform(samples).tolist() == [[-1.0, 0.0, 1.0]]


def test_augmentation_is_a_function_of_seed_step_view_and_index():
    views = torch.randn(6, 1, 64, 40)
    first = augment.log_mel(views, 20.0, seed=1, step=5, view=0)
    assert torch.equal(first, augment.log_mel(views, 20.0, seed=1, step=5, view=0))
    torch.testing.assert_close(first[:3], augment.log_mel(views[:3], 20.0, seed=1, step=5, view=0))
    others: list[dict[str, Any]] = [{"seed": 2}, {"step": 6}, {"view": 1}]
    for other in others:
        assert not torch.allclose(
            first, augment.log_mel(views, 20.0, **{"seed": 1, "step": 5, "view": 0, **other})
        )
    same = augment.log_mel(
        views[:1].expand(6, -1, -1, -1).contiguous(), 20.0, seed=1, step=5, view=0
    )
    assert len({round(float(item.mean()), 4) for item in same}) == 6, (
        "every item has its own parameters"
    )
    assert torch.isfinite(first).all()
    assert first.shape == views.shape
    assert 0.1 < np.abs((first - views).numpy()).mean() < 2
