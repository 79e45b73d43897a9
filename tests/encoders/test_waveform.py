"""SampleCNN, TUNe, TUNe+ and the short-chunk CNN: shapes and sizes as published, and a small run of each."""

from pathlib import Path
from types import ModuleType

import pytest
import soundfile
import torch
from torch import Tensor, nn

from bench.core import registry
from bench.data.frontend import build_frontend
from bench.encoders import Encoder
from tests.conftest import RATE, tone, write_csv

NAMES = ["sample_cnn", "tune", "tune_plus", "short_chunk_cnn"]
SAMPLES = 59_049
INPUTS = {
    "mfcc": "mfcc",
    "resnet": "log_mel",
    "resnet_small": "log_mel",
    "short_chunk_cnn": "log_mel",
}
INPUTS |= dict.fromkeys(("sample_cnn", "tune", "tune_plus"), "waveform")
pytestmark = pytest.mark.usefixtures("one_thread")


def module(name: str) -> ModuleType:
    return registry.load("encoders", name)


def build(name: str, seed: int = 0, **settings: object) -> Encoder:
    torch.manual_seed(seed)
    encoder: Encoder = module(name).Encoder(module(name).Settings(**settings))
    return encoder.eval()


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def inputs(encoder: Encoder, rate: int, batch: int = 2) -> Tensor:
    samples = round(encoder.settings.seconds * rate)
    waveforms = 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(1))
    prepared: Tensor = build_frontend(encoder.frontend)(waveforms)
    return prepared


def outputs(encoder: Encoder, blocks: nn.Module, given: Tensor) -> list[tuple[int, ...]]:
    """Shape of one item after each of the blocks."""
    found: list[tuple[int, ...]] = []
    hooks = [
        block.register_forward_hook(lambda _, __, out: found.append(tuple(out.shape[1:])))
        for block in blocks.children()
    ]
    with torch.no_grad():
        encoder(given)
    for hook in hooks:
        hook.remove()
    return found


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


def test_sample_cnn_has_the_published_shapes():
    encoder = build("sample_cnn")
    assert outputs(encoder, encoder.blocks, inputs(encoder, 22_050)) == [
        *((128, length) for length in (19_683, 6_561, 2_187)),
        *((256, length) for length in (729, 243, 81, 27, 9, 3)),
        *((512, 1), (512, 1)),
    ]


def test_tune_has_the_published_shapes():
    encoder = build("tune")
    given = inputs(encoder, 22_050)
    lengths = [SAMPLES // 3**level for level in range(5)]
    assert given.shape == (2, SAMPLES)
    contracting = list(zip((11, 22, 44, 88, 176), lengths, strict=True))
    assert outputs(encoder, encoder.contracting, given) == contracting
    assert outputs(encoder, encoder.decoding, given) == contracting[-2::-1]
    tail = [*contracting[1:], *zip((352, 352, 352, 352, 512), (243, 81, 27, 9, 3), strict=True)]
    assert outputs(encoder, encoder.tail, given) == tail
    plus = build("tune_plus")
    assert outputs(plus, plus.tail, given) == tail
    assert [block[0].in_channels for block in plus.tail] == [
        33,
        66,
        132,
        264,
        176,
        352,
        352,
        352,
        352,
    ]
    assert [block[0].in_channels for block in encoder.tail] == [
        11,
        22,
        44,
        88,
        176,
        352,
        352,
        352,
        352,
    ]


# Parameters of the authors' classes (models/ of their code) without the last layer, counted once by
# building them.
VARIANTS = {
    "vanilla": ({"channels": 34, "tail": 0}, 2_340_396),
    "Contractive+1": ({"channels": 18, "contraction": 1, "decoding": 5, "tail": 0}, 2_258_700),
    "Contractive+2": ({"channels": 9, "contraction": 2, "decoding": 6, "tail": 0}, 2_118_606),
    "Contractive+3": ({"channels": 4, "contraction": 3, "decoding": 7, "tail": 0}, 1_630_744),
    "Expansive-1": ({"channels": 34, "decoding": 3, "tail": 0}, 2_319_248),
    "Expansive-2": ({"channels": 35, "decoding": 2, "tail": 0}, 2_355_846),
    "Expansive-3": ({"channels": 38, "decoding": 1, "tail": 0}, 2_318_776),
    "Tail+1": ({"channels": 28, "tail": 1}, 2_295_912),
    "Tail+2": ({"channels": 19, "tail": 2}, 2_232_858),
    "Tail+3": ({"channels": 15, "tail": 3}, 2_241_186),
    "Tail+4": ({"channels": 13, "tail": 4}, 2_290_134),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variants_of_the_paper_are_settings(variant):
    settings, parameters = VARIANTS[variant]
    assert size(build("tune", **settings)) == parameters


@pytest.mark.parametrize(
    "settings", [{"contraction": 2, "decoding": 3, "tail": 1}, {"decoding": 1, "tail": 0}]
)
@pytest.mark.parametrize("name", ["tune", "tune_plus"])
def test_other_depths_run(name, settings):
    encoder = build(name, channels=2, embedding=7, seconds=3**6 / 22_050, **settings)
    with torch.no_grad():
        assert encoder(inputs(encoder, 22_050)).shape == (2, 7)


def test_tune_without_decoding_is_clmrs_encoder():
    plain, theirs = build("tune", decoding=0), build("sample_cnn", seed=1)
    plain.load_state_dict(theirs.state_dict())
    given = inputs(theirs, 22_050)
    with torch.no_grad():
        assert torch.equal(plain(given), theirs(given))


def test_short_chunk_cnn_has_the_published_shapes():
    encoder = build("short_chunk_cnn")
    given = inputs(encoder, 16_000)
    assert given.shape == (2, 1, 128, 231)
    halved = [(64, 115), (32, 57), (16, 28), (8, 14), (4, 7), (2, 3), (1, 1)]
    channels = (128, 128, 256, 256, 256, 256, 512)
    assert outputs(encoder, encoder.blocks, given) == [
        (width, *places) for width, places in zip(channels, halved, strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    encoder = build(name).train()
    given = inputs(encoder, module(name).SAMPLE_RATE)
    (encoder(given) * torch.randn(2, encoder.width)).sum().backward()
    for label, parameter in encoder.named_parameters():
        assert parameter.grad is not None, label
        assert torch.isfinite(parameter.grad).all(), label
        if (
            parameter.ndim > 1
        ):  # the gradient of a bias before a normalisation is zero but for rounding
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
    rows = []
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
