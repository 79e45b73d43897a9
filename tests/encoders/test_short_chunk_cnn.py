"""The short-chunk CNN has the shapes of the published network."""

import pytest

from tests.encoders.networks import build, inputs, outputs

pytestmark = pytest.mark.usefixtures("one_thread")


def test_short_chunk_cnn_has_the_published_shapes():
    encoder = build("short_chunk_cnn")
    given = inputs(encoder, 16_000)
    assert given.shape == (2, 1, 128, 231)
    halved = [(64, 115), (32, 57), (16, 28), (8, 14), (4, 7), (2, 3), (1, 1)]
    channels = (128, 128, 256, 256, 256, 256, 512)
    assert outputs(encoder, encoder.blocks, given) == [
        (width, *places) for width, places in zip(channels, halved, strict=True)
    ]
