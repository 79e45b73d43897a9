"""The parts of a batch that several processes share."""

import numpy as np
import pytest
import torch

from bench.core.world import World
from bench.data.augment import Chain
from bench.data.views import ViewSampler
from bench.settings.augmentations import AugmentSpec, preset
from bench.settings.specs import ViewsSpec
from tests import together


@pytest.mark.parametrize("size", [2, 4])
def test_parts_of_a_batch_are_cut_and_changed_as_in_the_whole(tmp_path, size):
    audio = together.audio(tmp_path)
    sampler = ViewSampler(audio, np.arange(together.TRACKS), 1.0, 2, 8, ViewsSpec(), 3)
    log_mels = torch.randn(8, 1, 16, 20)
    for name in ("clmr", "log_mel", "byol_a"):
        spec = AugmentSpec.model_validate({**preset(name), "mixup": {"probability": 0.6}})
        for step in range(3):
            whole = sampler.batch(step)
            waves = torch.from_numpy(whole.waveforms[0]).float()
            chain = Chain(spec, together.RATE, 20.0, seed=5)
            changed, pictures = chain.waveform(waves, step, 1), chain.log_mel(log_mels, step, 1)
            for rank in range(size):
                part = World(rank, size).part(8)
                mine = slice(part.first, part.end)
                views = sampler.batch(step, part)
                assert np.array_equal(views.waveforms, whole.waveforms[:, mine])
                assert np.array_equal(views.rows, whole.rows[mine])
                chain = Chain(spec, together.RATE, 20.0, 5, part, gathered=lambda _: log_mels)
                assert torch.equal(chain.waveform(waves[mine], step, 1), changed[mine])
                # `gathered` gives the log-mels as they were before the chain, which a transform of
                # the preset "log_mel" would have changed.
                if not spec.log_mel.probability:
                    part_pictures = chain.log_mel(log_mels[mine], step, 1)
                    torch.testing.assert_close(part_pictures, pictures[mine])
