"""Average precision of the valid split."""

import numpy as np
from sklearn.metrics import average_precision_score

from bench.stages.probe.valid_map import average_precision


def test_the_valid_score_is_that_of_scikit_learn_with_ties() -> None:
    random = np.random.default_rng(0)
    labels = random.random((6, 150)) < 0.2
    for scores in (
        random.normal(size=(3, 6, 150)),
        random.integers(-3, 4, (3, 6, 150)) / 2,
        np.zeros((3, 6, 150)),
    ):
        precision = average_precision(scores.astype(np.float32) * np.float32(-1e-3), labels)
        for point in range(3):
            expected = average_precision_score(labels.T, -scores[point].T, average=None)
            np.testing.assert_allclose(precision[point], expected, rtol=1e-12)
