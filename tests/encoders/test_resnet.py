"""The paper's ResNet has the paper's size, and refuses settings that do not fit."""

import pytest

from bench.core import registry
from bench.data.frontend import build_frontend
from tests.encoders.networks import build, waveforms


def test_the_papers_resnet_has_the_papers_size():
    encoder = build("resnet")
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 2_800_392
    assert sum(parameter.numel() for parameter in encoder.pool.parameters()) == 1_319_936
    assert encoder.settings.map_size == (4, 3)
    assert build_frontend(encoder.frontend)(waveforms(encoder)).shape == (3, 1, 128, 126)


def test_sizes_that_do_not_fit_are_refused():
    module = registry.load("encoders", "resnet")
    with pytest.raises(ValueError, match="leave no place"):
        module.Settings(seconds=0.5)
    with pytest.raises(ValueError, match="cannot be shared"):
        module.Settings(heads=7)
