"""SampleCNN has the shapes of the published network."""

import pytest

from tests.encoders.networks import build, inputs, outputs

pytestmark = pytest.mark.usefixtures("one_thread")


def test_sample_cnn_has_the_published_shapes():
    encoder = build("sample_cnn")
    assert outputs(encoder, encoder.blocks, inputs(encoder, 22_050)) == [
        *((128, length) for length in (19_683, 6_561, 2_187)),
        *((256, length) for length in (729, 243, 81, 27, 9, 3)),
        *((512, 1), (512, 1)),
    ]
