"""Probes learn what there is to learn, alone or beside others to the same bits."""

import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.settings.specs import ProbeSpec
from bench.stages.embed.segments import Embeddings, open_embeddings
from bench.stages.probe import inputs as rows_read
from bench.stages.probe import probes
from bench.stages.probe.probes import Subset, fit_all
from bench.stages.probe.problem import Problem, bytes_a_batch, bytes_a_point
from bench.stages.probe.valid_map import ValidMap
from tests.stages.probe.problems import MLP, SMALL, Split, assert_same, problem, split, with_

pytestmark = pytest.mark.usefixtures("one_thread")


def test_linear_probe_recovers_a_separable_problem() -> None:
    data = problem(2000, noise=0)
    fitted = data.fit(ProbeSpec())
    assert data.test_map(fitted) > 0.97
    logits = fitted.logits["mean_embedding"]
    assert logits.shape == (400, 5)
    # The bias is right too, not only the order.
    assert ((logits > 0) == data.targets[data.test]).mean() > 0.95


def test_linear_probe_is_as_good_as_tuned_logistic_regression() -> None:
    """The directions of the inputs are correlated, as those of embeddings are.

    Isotropic inputs would cost AdamW about 0.015.
    """
    random = np.random.default_rng(0)
    mixing, directions = random.normal(size=(12, 60)), random.normal(size=(12, 6)) * 0.6
    latent = random.normal(size=(1200, 12))
    inputs = (latent @ mixing + 2 * random.normal(size=(1200, 60))).astype(np.float32)
    labels = latent @ directions + random.logistic(size=(1200, 6)) > 1.5
    inputs = (inputs - inputs[:150].mean(0)) / inputs[:150].std(0)
    known, valid, test = slice(0, 150), slice(150, 350), slice(350, None)
    best = (-1.0, -1.0)
    for strength in (1e-3, 1e-2, 1e-1):
        models = [
            LogisticRegression(C=strength).fit(inputs[known], column) for column in labels[known].T
        ]
        logits = np.stack([model.decision_function(inputs) for model in models], 1)
        scores = [average_precision_score(labels[part], logits[part]) for part in (valid, test)]
        best = max(best, (scores[0], scores[1]))
    data = split([(inputs[part], labels[part]) for part in (known, valid, test)])
    assert data.test_map(data.fit(ProbeSpec())) > best[1] - 0.015


@pytest.mark.parametrize("kind", ["linear", "mlp", "knn"])
def test_embeddings_that_are_the_labels_are_scored_one_and_random_labels_one_half(
    kind: str,
) -> None:
    random = np.random.default_rng(0)
    labels = random.random((900, 4)) < 0.3
    parts = slice(0, 400), slice(400, 600), slice(600, None)
    perfect = split([(labels[part].astype(np.float32), labels[part]) for part in parts])
    fitted = perfect.fit(with_(SMALL, kind=kind, steps=100, neighbours=(1, 5)))
    assert roc_auc_score(labels[600:], fitted.logits["mean_embedding"]) == 1
    inputs = random.normal(size=(900, 20)).astype(np.float32)
    chance = split([(inputs[part], labels[part]) for part in parts])
    fitted = chance.fit(with_(SMALL, kind=kind))
    assert abs(roc_auc_score(labels[600:], fitted.logits["mean_embedding"]) - 0.5) < 0.06


def test_mlp_learns_what_a_linear_probe_cannot() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(1500, 4)).astype(np.float32)
    labels = (inputs[:, :1] * inputs[:, 1:2]) > 0
    parts = slice(0, 1000), slice(1000, 1200), slice(1200, None)
    data = split([(inputs[part], labels[part]) for part in parts])
    scores = {
        kind: data.test_map(data.fit(ProbeSpec(kind=kind, hidden=32, steps=300)))
        for kind in ("linear", "mlp")
    }
    assert scores["linear"] < 0.7
    assert scores["mlp"] > 0.95


def test_classes_by_cross_entropy() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(6, 10)) * 2
    labels = random.integers(5, size=600)  # the sixth class is never seen
    inputs = (centres[labels] + random.normal(size=(600, 10))).astype(np.float32)
    parts = slice(0, 200), slice(200, 300), slice(300, None)
    data = split([(inputs[part], labels[part]) for part in parts])
    for kind in ("linear", "mlp", "knn"):
        fitted = data.fit(with_(SMALL, kind=kind, neighbours=(5, 500)), outputs=6)
        for logits in fitted.logits.values():
            assert logits.shape == (300, 6)
            assert np.isfinite(logits).all()
            assert (logits.argmax(1) == labels[300:]).mean() > 0.9


@pytest.mark.parametrize("train_on", ["tracks", "segments"])
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_alone_or_beside_others_and_with_any_memory_the_bits_are_the_same(
    kind: str, train_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run on two threads, with grids in two pieces, and so wide that products take both kernels."""
    monkeypatch.setattr(probes, "_ELEMENTS", 2 * 120 * (200 if kind == "mlp" else 5))
    data = problem(300, width=120, segments=5)
    spec = with_(
        SMALL, kind=kind, hidden=200, train_on=train_on, dropout=0.3, patience=2, batch_size=64
    )
    subsets = [
        Subset(data.train[start : start + 90 + start], seed)
        for seed, start in enumerate((0, 0, 50, 100))
    ]
    subsets += [Subset(data.train[:40], 0), Subset(data.train, 0)]
    torch.set_num_threads(2)
    together = data.fit_all(spec, subsets)
    for memory in (0.01, 3.0):
        small = data.fit_all(with_(spec, memory_mb=memory), subsets)
        for fitted, expected in zip(small, together, strict=True):
            assert_same(fitted, expected)
    torch.set_num_threads(1)
    for subset, expected in zip(subsets, together, strict=True):
        assert_same(data.fit_all(spec, [subset])[0], expected)
    assert (together[0].curve[0] != together[1].curve[0]).any()  # two seeds of one subset


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("memory", [0.3, 2.0, 1000.0])
def test_the_program_for_gpus_finds_what_that_for_cpus_finds(memory: float, kind: str) -> None:
    """Run on the CPU, with stacks of every size: rounding may move a logit of order 1 by 1e-3."""
    data, spec = problem(200, segments=3), with_(SMALL, kind=kind, memory_mb=memory)
    subsets = [Subset(data.train[start:], start) for start in (0, 100, 190, 50)]
    alike = Problem(
        data.embeddings, data.targets, "tags", data.valid, data.test, spec, "cpu",
        ValidMap(data.targets[data.valid], "tags"),
    )  # fmt: skip
    seen: list[tuple[int, int]] = []
    fitted = dict(probes._on_gpu(alike, subsets, lambda done, total: seen.append((done, total))))
    assert seen[-1] == (4 * 4 * 40, 4 * 4 * 40)
    for place, expected in enumerate(data.fit_all(spec, subsets)):
        np.testing.assert_allclose(fitted[place].curve, expected.curve, atol=2e-3)
        if fitted[place].chosen["step"] == expected.chosen["step"]:
            for name, logits in expected.logits.items():
                np.testing.assert_allclose(fitted[place].logits[name], logits, atol=1e-3, rtol=1e-3)


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_batches() -> None:
    data = problem(100)
    first, again, other = (data.fit(SMALL, seed).logits["mean_embedding"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    "spec", [SMALL, MLP, with_(MLP, batch_norm=False), with_(SMALL, kind="knn")]
)
@pytest.mark.parametrize("tracks", [1, 2, 3, 4])
def test_tiny_subsets_and_tags_without_positives(tracks: int, spec: ProbeSpec) -> None:
    data = problem(tracks)
    data.targets[data.train, 0] = False
    data.targets[data.train, 1] = True
    data.targets[data.valid, 2] = False
    fitted = data.fit(spec)
    for logits in fitted.logits.values():
        assert np.isfinite(logits).all()
        assert abs(logits).max() < 1000
    assert 0 < fitted.chosen["valid_map"] <= 1


@pytest.mark.parametrize("kind", ["linear", "mlp", "knn"])
def test_the_number_of_threads_is_left_as_it_was(kind: str) -> None:
    data = problem(30)
    torch.set_num_threads(2)
    for _ in fit_all(
        data.embeddings, data.targets, "tags", 5, data.valid, data.test,
        [Subset(data.train, 0)] * 40, with_(SMALL, kind=kind, steps=2), "cpu",
    ):  # fmt: skip
        assert torch.get_num_threads() == 2  # while results are handed over, too
    assert torch.get_num_threads() == 2


def test_progress_counts_probe_steps() -> None:
    data, seen = problem(60, noise=1.0), list[tuple[int, int]]()
    spec = with_(SMALL, steps=100, patience=2)
    data.fit_all(
        spec,
        [Subset(data.train, 0), Subset(data.train[:20], 1)],
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == sorted(seen)
    assert seen[-1] == (2 * 4 * 100, 2 * 4 * 100)


def test_results_come_while_others_wait() -> None:
    data = problem(20)
    shares: list[float] = []
    results = fit_all(
        data.embeddings, data.targets, "tags", 5, data.valid, data.test,
        [Subset(data.train, 0)] * 100, SMALL, "cpu",
        progress=lambda done, total: shares.append(done / total),
    )  # fmt: skip
    assert next(results)[0] == 0
    assert shares[-1] < 0.5


def test_memory_does_not_grow_with_the_number_of_probes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments are read from the disk in pieces, and 384 probes hold no more than 64 do."""
    data = problem(40, width=64, segments=40)
    for name in ("segments", "first", "tracks"):
        np.save(tmp_path / f"{name}.npy", getattr(data.embeddings, name))
    data = Split(open_embeddings(tmp_path), data.targets, data.train, data.valid, data.test)
    largest = 0
    whole = rows_read._read

    def read(source: np.ndarray, rows: np.ndarray, *others: Any) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, len(rows))
        return whole(source, rows, *others)

    monkeypatch.setattr(rows_read, "_read", read)
    spec = with_(
        SMALL,
        steps=4,
        evaluate_every=4,
        train_on="segments",
        aggregation="mean_probability",
        memory_mb=0.1,
    )
    peaks = []
    for subsets in (16, 96):
        tracemalloc.start()
        labelled = [Subset(data.train, 0)] * subsets
        for _ in fit_all(
            data.embeddings, data.targets, "tags", 5, data.valid, data.test, labelled, spec, "cpu"
        ):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert largest <= 1024 < data.embeddings.first[-1]
    assert peaks[1] < 1.5 * peaks[0] + 500_000
    # One MLP of the paper's size at a time takes less than 64 MiB beside its inputs.
    paper = Problem(
        Embeddings(np.empty((1, 1024), np.float32), np.arange(1), np.empty((1, 1024), np.float32)),
        np.empty((1, 50), bool), "tags", np.arange(1529), np.arange(4332), ProbeSpec(kind="mlp"),
        "cpu", ValidMap(np.ones((1, 50), bool), "tags"),
    )  # fmt: skip
    assert bytes_a_point(paper) + bytes_a_batch(paper) < 64 * 2**20


def test_the_default_grid_is_fast() -> None:
    data = problem(360, width=256, tags=30)
    start = time.process_time()
    data.fit(ProbeSpec(steps=300, patience=0))
    assert time.process_time() - start < 3  # seconds of processor time
