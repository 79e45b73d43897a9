"""How flags, recipe and defaults become the spec of a cell."""

import pytest

from bench.core.errors import InputError
from bench.stages.pretrain.schedule import budget
from tests.settings.cells import resolve


def test_a_budget_that_is_given_takes_the_place_of_the_recipes():
    spec = resolve(recipe="clmr", overrides={"train": {"steps": 5}}, scale=0.5)
    assert (spec.train.steps, budget(spec.train, 10_000)) == (5, 5)


def test_a_chain_by_name_and_dotted_settings():
    spec = resolve(overrides={"augment": {"name": "clmr", "pitch_shift": {"probability": 0.25}}})
    assert (spec.augment.pitch_shift.probability, spec.augment.reverb.probability) == (0.25, 0.6)
    assert not spec.augment.on_spectrogram
    kept = resolve(overrides={"augment": {"log_mel": {"gain_db": 1.0}}})
    assert (kept.augment.name, kept.augment.log_mel.gain_db, kept.augment.log_mel.probability) == (
        "log_mel",
        1.0,
        1.0,
    )


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ({"name": "clmrr"}, "unknown augmentation 'clmrr'; did you mean 'clmr"),
        ({"gain": {"probability": 2}}, "augment.gain.probability = 2"),
        ({"gain": {"probabilty": 1}}, "did you mean 'augment.gain.probability'"),
        ({"gain": {"low_db": 3}}, "low_db 3 lies above high_db -1"),
        (
            {"reverbb": {"probability": 1}},
            "unknown setting 'augment.reverbb'; did you mean 'augment.reverb'",
        ),
    ],
)
def test_wrong_chains_are_named(augment, message):
    with pytest.raises(InputError) as caught:
        resolve(overrides={"augment": augment})
    assert message in str(caught.value)


def test_spectrogram_chains_need_spectrograms():
    with pytest.raises(InputError, match="takes a waveform: give --augment clmr or none"):
        resolve(encoder="sample_cnn", overrides={"augment": {"name": "log_mel"}})
    assert resolve(encoder="sample_cnn").augment.name == "clmr"
    assert resolve(
        "random_init", encoder="sample_cnn", overrides={"augment": {"name": "log_mel"}}
    )  # it is not trained
