"""TUNe and TUNe+ have the shapes and sizes of the published networks, and other depths run."""

import pytest
import torch

from tests.encoders.networks import build, inputs, outputs, size

pytestmark = pytest.mark.usefixtures("one_thread")
SAMPLES = 59_049


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
    assert [block[0].in_channels for block in plus.tail] == [*(33, 66, 132, 264, 176), *[352] * 4]
    assert [block[0].in_channels for block in encoder.tail] == [*(11, 22, 44, 88, 176), *[352] * 4]


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
