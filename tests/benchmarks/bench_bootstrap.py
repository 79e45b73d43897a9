"""Speed of the bootstrap: ours beside a loop over scikit-learn, macro ROC-AUC and average precision.

Run `python tests/benchmarks/bench_bootstrap.py`; options: --tracks --tags --resamples --loop.
"""

import argparse
import resource
import time

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.probe.bootstrap import resample_counts
from bench.probe.metrics import ranking, ranking_micro


def main() -> None:
    """Prints seconds and the largest difference between the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=5000)
    parser.add_argument("--tags", type=int, default=50)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--loop", type=int, default=5, help="resamples that scikit-learn is timed on")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    labels = random.random((options.tracks, options.tags)) < 0.05
    labels[:2] = [[True], [False]]
    scores = random.normal(size=labels.shape).astype(np.float32) + labels

    start = time.perf_counter()
    counts = resample_counts(options.tracks, options.resamples, 0, "benchmark")
    counted = time.perf_counter()
    auroc, precision = ranking(scores, labels, counts)
    macro = time.perf_counter()
    ranking_micro(scores, labels, counts)
    micro = time.perf_counter()

    looped = min(options.loop, options.resamples)
    loop_start = time.perf_counter()
    expected = np.array([_one(scores, labels, counts[:, resample]) for resample in range(looped)])
    loop = (time.perf_counter() - loop_start) * options.resamples / looped
    found = np.stack([auroc[:looped], precision[:looped]], axis=1)

    print(f"{options.resamples} resamples of {options.tracks} tracks x {options.tags} tags")
    print(f"{'what':<44}{'seconds':>10}")
    print(f"{'drawing the resamples':<44}{counted - start:>10.2f}")
    print(f"{'macro ROC-AUC and AP, ours':<44}{macro - counted:>10.2f}")
    print(f"{'micro ROC-AUC and AP, ours':<44}{micro - macro:>10.2f}")
    print(f"{f'macro, scikit-learn ({looped} timed, extrapolated)':<44}{loop:>10.2f}")
    print(f"{'times faster':<44}{loop / (macro - counted):>10.0f}")
    print(f"{'largest difference':<44}{np.abs(found - expected).max():>10.1e}")
    print(f"{'peak memory of the process, MB':<44}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>10.0f}")


def _one(scores: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Both metrics of one resample as scikit-learn computes them: each (tags,)."""
    drawn = np.repeat(np.arange(len(counts)), counts)
    return [
        np.asarray(roc_auc_score(labels[drawn], scores[drawn], average=None)),
        np.asarray(average_precision_score(labels[drawn], scores[drawn], average=None)),
    ]


if __name__ == "__main__":
    main()
