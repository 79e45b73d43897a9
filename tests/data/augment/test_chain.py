"""Chains: an item is changed in the same way in any batch, on any number of threads."""

import pytest
import torch
from pydantic import ValidationError

from bench.core.errors import InputError
from bench.data.augment import Chain
from bench.settings.augmentations import SPECTROGRAM, WAVEFORM, AugmentSpec, preset, presets
from tests.data.augment.signals import RATE, SAMPLES, always, music, only

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("samples", [SAMPLES, 8_000, 777])
def test_silence_stays_silent_and_lengths_stay(samples):
    silence = torch.zeros(2, samples)
    for spec in (always(), *(only(name) for name in WAVEFORM), only("noise", kind="level")):
        changed = Chain(spec, RATE).waveform(silence, step=3, view=1)
        assert changed.shape == silence.shape
        assert torch.isfinite(changed).all()
        assert changed.abs().max() < 1e-6
    still = torch.full((3, 1, 64, 50), -5.0)  # the log-mel of silence
    for name in SPECTROGRAM:
        changed = Chain(only(name), RATE, scale_db=20.0).log_mel(still, step=3, view=1)
        assert changed.shape == still.shape
        assert torch.isfinite(changed).all()


@pytest.mark.parametrize("name", ["all", *WAVEFORM])
def test_an_item_is_the_same_in_any_batch(name):
    chain = Chain(always() if name == "all" else only(name), RATE, seed=5)
    waveforms = music(64, 12_000)
    together = chain.waveform(waveforms, step=9, view=1)
    for size in (1, 2, 7):
        assert torch.equal(chain.waveform(waveforms[:size], step=9, view=1), together[:size])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_item_is_the_same_in_a_batch_of_one_or_64_at_full_length(threads):
    torch.set_num_threads(threads)  # `one_thread` sets it back
    chain = Chain(AugmentSpec.model_validate(preset("clmr")), RATE, seed=1)
    waveforms = music(64)
    given = waveforms.clone()
    together = chain.waveform(waveforms, step=2, view=0)
    for size in (1, 3, 30):
        assert torch.equal(chain.waveform(waveforms[:size], step=2, view=0), together[:size])
    assert torch.equal(waveforms, given), "what was given is left as it was"


def test_numbers_depend_on_seed_step_view_and_index_alone():
    waveforms = music(1, 6_000).expand(8, -1).contiguous()
    chain = Chain(AugmentSpec.model_validate(preset("clmr")), RATE, seed=1)
    for step in range(3):
        chain.waveform(waveforms, step, 0)
    first = chain.waveform(waveforms, 100, 0)
    assert torch.equal(first, Chain(chain.spec, RATE, seed=1).waveform(waveforms, 100, 0)), (
        "after a restart"
    )
    others = [chain.waveform(waveforms, 101, 0), chain.waveform(waveforms, 100, 1)]
    others.append(Chain(chain.spec, RATE, seed=2).waveform(waveforms, 100, 0))
    for other in others:
        assert not torch.allclose(first, other)
    assert len({tuple(item[:50].tolist()) for item in first}) > 5, (
        "every item has its own parameters"
    )


def test_presets():
    assert presets()[:3] == ["none", "log_mel", "clmr"]
    specs = {name: AugmentSpec.model_validate(preset(name)) for name in presets()}
    assert not specs["none"].on_waveform
    assert not specs["none"].on_spectrogram
    assert specs["clmr_v1"].delay.factor == 0.2
    assert (specs["clmr_v1"].reverb.low_room, specs["clmr_v1"].reverb.high_room) == (1, 100)
    assert (specs["clmr_thesis"].gain.low_db, specs["clmr_thesis"].gain.high_db) == (-6, 0)
    with pytest.raises(InputError, match="did you mean 'clmr'"):
        preset("clrm")
    with pytest.raises(ValidationError, match="low_db -1 lies above high_db -2"):
        only("gain", low_db=-1, high_db=-2)
    waveforms = music(2, 500)
    assert Chain(specs["none"], RATE).waveform(waveforms, 0, 0) is waveforms
