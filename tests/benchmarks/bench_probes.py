"""Speed of a grid of probes: ours, beside its bare matrix products and a loop in plain PyTorch.

    python tests/benchmarks/bench_probes.py                            (some minutes)
    python tests/benchmarks/bench_probes.py --scale 0.2 --steps 200    (a minute)

The grid has MagnaTagATune's size, 17 labelled subsets and 9 points of learning rate and weight
decay. Options: --kind --scale --width --tags --segments --steps --patience --draws --loop --memory.
The loop over single probes is timed on a few of them and extrapolated by their steps. Scoring the
segments of the test split is part of our time alone.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import nn
from torch.nn import functional

from bench.core.randomness import generator, seed_for
from bench.core.threads import one_thread
from bench.settings.specs import ProbeSpec
from bench.stages.embed.segments import Embeddings
from bench.stages.probe.probes import Fitted, Subset, _even, _points_a_piece, fit_all
from bench.stages.probe.products import product

Seconds = tuple[float, float]
"""Seconds by the clock, and seconds of processor time."""

Call = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Steps = dict[tuple[int, int], int]
"""Number of steps, or of looks at the valid split, by (grid points in the stack, batch size)."""


def main() -> None:
    """Prints a table for each kind of probe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=["linear", "mlp", "both"], default="both")
    parser.add_argument("--scale", type=float, default=1.0, help="share of MagnaTagATune's tracks")
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--tags", type=int, default=50)
    parser.add_argument("--segments", type=int, default=8, help="segments a track")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument(
        "--loop", type=int, default=3, help="grid points of each fraction that the loop is timed on"
    )
    parser.add_argument("--memory", type=float, default=1024.0, help="ProbeSpec.memory_mb")
    options = parser.parse_args()
    sizes = [max(20, round(options.scale * tracks)) for tracks in (15_244, 1_529, 4_332)]
    with tempfile.TemporaryDirectory() as folder:
        embeddings, labels = data(
            sum(sizes), options.width, options.tags, options.segments, Path(folder)
        )
        train, valid, test = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:2])
        fractions = [
            (fraction, draw) for fraction in (0.01, 0.05, 0.1, 0.2) for draw in range(options.draws)
        ]
        subsets = [
            Subset(
                np.random.default_rng(draw).permutation(train)[
                    : max(5, round(fraction * len(train)))
                ],
                draw,
            )
            for fraction, draw in [*fractions, (1.0, 0)]
        ]
        print(
            f"{len(train)} / {len(valid)} / {len(test)} tracks x {options.width} x "
            f"{options.tags} tags, {options.segments} segments a track; "
            f"{len(subsets)} labelled subsets; {torch.get_num_threads()} threads"
        )
        for kind in ["linear", "mlp"] if options.kind == "both" else [options.kind]:
            spec = ProbeSpec(
                kind=kind, learning_rates=(1e-3, 3e-3, 1e-2), weight_decays=(1e-4, 1e-2, 1.0),
                steps=options.steps, patience=options.patience, memory_mb=options.memory,
            )  # fmt: skip
            compare(embeddings, labels, valid, test, subsets, spec, options.loop)


def data(
    tracks: int, width: int, tags: int, segments: int, folder: Path
) -> tuple[Embeddings, np.ndarray]:
    """Makes up embeddings and tags.

    Returns:
        Correlated embeddings in a memory map, and (tracks, tags) bool: tags of uneven frequency
        that follow from the embeddings with noise.
    """
    random = np.random.default_rng(0)
    mixing = (random.normal(size=(64, width)) * np.geomspace(2, 0.2, 64)[:, None]).astype(
        np.float32
    )
    latent = random.normal(size=(tracks, 64)).astype(np.float32)
    path = folder / "segments.npy"
    file = np.lib.format.open_memmap(path, "w+", np.float32, (tracks * segments, width))
    means = np.empty((tracks, width), dtype=np.float32)
    for start in range(0, tracks, 1000):
        part = latent[start : start + 1000] @ mixing
        noise = random.standard_normal((len(part), segments, width), dtype=np.float32)
        rows = part[:, None] + noise
        file[start * segments : (start + len(part)) * segments] = rows.reshape(-1, width)
        means[start : start + len(part)] = rows.mean(1)
    file.flush()
    logits = latent @ random.normal(size=(64, tags)) / 4 + random.logistic(size=(tracks, tags))
    labels = logits > np.quantile(logits, 1 - np.geomspace(0.2, 0.02, tags), axis=0).diagonal()
    return Embeddings(np.load(path, mmap_mode="r"), np.arange(tracks + 1) * segments, means), labels


def compare(
    embeddings: Embeddings,
    labels: np.ndarray,
    valid: np.ndarray,
    test: np.ndarray,
    subsets: list[Subset],
    spec: ProbeSpec,
    looped: int,
) -> None:
    """Prints the table of one kind of probe."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, used = time.perf_counter(), time.process_time()
    fits = dict(
        fit_all(embeddings, labels, "tags", labels.shape[1], valid, test, subsets, spec, "cpu")
    )
    ours, used = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    points = len(fits[0].sweep)
    done = sum(int(row["stopped"]) for fitted in fits.values() for row in fitted.sweep)
    bare = bare_products(
        fits, subsets, spec, embeddings.tracks.shape[1], labels.shape[1], len(valid)
    )
    seconds, differences = loop(embeddings, labels, valid, test, subsets, spec, fits, looped)
    print(
        f"\n{spec.kind}: {len(fits)} subsets x {points} points; "
        f"{done} of {len(fits) * points * spec.steps} probe-steps, the others cut by patience"
    )
    print(f"{'what':<64}{'seconds':>10}{'ours / it':>12}{'of processor':>14}{'ours / it':>12}")
    for name, (wall, processor) in (
        ("ours, test scores of tracks and segments included", (ours, used)),
        ("bare products, with our kernel, one thread a piece", bare[0]),
        ("bare products, with torch.bmm on all threads", bare[1]),
        ("one-by-one loop in PyTorch on all threads, extrapolated", seconds),
    ):
        print(
            f"{name:<64}{wall:>10.1f}{ours / wall:>12.2f}"
            f"{processor:>14.1f}{used / processor:>12.2f}"
        )
    print(f"{'times faster than the loop':<64}{seconds[0] / ours:>10.1f}")
    print(f"{'largest difference of a valid mAP, and of a test mAP, ours - loop':<64}", end="")
    print("  ".join(f"{value:+.4f}" for value in differences))
    scores = [
        average_precision_score(labels[test], fitted.logits["mean_embedding"])
        for fitted in fits.values()
    ]
    print(
        f"{'test mAP of the smallest and the largest subset':<64}"
        f"{scores[0]:>10.4f}  {scores[-1]:.4f}"
    )
    print(
        f"{'peak memory of the process before and after, MB':<64}{before:>10.0f}  {peak:.0f}",
        flush=True,
    )


def bare_products(
    fits: dict[int, Fitted],
    subsets: list[Subset],
    spec: ProbeSpec,
    width: int,
    outputs: int,
    valid: int,
) -> tuple[Seconds, Seconds]:
    """Times the matrix products of the fits alone.

    Args:
        fits: what was fitted, by the number of the subset.
        subsets: the labelled subsets.
        spec: the probe.
        width: of the embeddings.
        outputs: number of tags.
        valid: number of tracks of the valid split.

    Returns:
        Seconds with our kernel, one thread a piece, and with torch.bmm on all threads.
    """
    steps: Steps = {}
    looks: Steps = {}
    rows = spec.hidden if spec.kind == "mlp" else outputs
    for place, fitted in fits.items():
        size = min(spec.batch_size, len(subsets[place].rows))
        for piece in _even(
            [int(row["stopped"]) for row in fitted.sweep], _points_a_piece(spec, outputs, width)
        ):
            last = 0
            for step in sorted(set(piece)):
                alive = sum(stopped >= step for stopped in piece)
                steps[alive, size] = steps.get((alive, size), 0) + step - last
                looks[alive, size] = looks.get((alive, size), 0) + -(
                    -(step - last) // spec.evaluate_every
                )
                last = step

    def time_of(call: Call, threads: int) -> Seconds:
        wall = processor = 0.0
        for counts, training in ((steps, True), (looks, False)):
            for (points, size), count in counts.items():
                tracks = size if training else valid
                repeat = min(count, 40)
                work = [
                    _Products(points, rows, width, outputs, tracks, spec, training, call)
                    for _ in range(threads)
                ]
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(_Products.run, work, [3] * threads))  # warm
                    start, used = time.perf_counter(), time.process_time()
                    list(pool.map(_Products.run, work, [repeat] * threads))
                    share = count / repeat / threads
                wall += (time.perf_counter() - start) * share
                processor += (time.process_time() - used) * share
        return wall, processor

    threads = torch.get_num_threads()
    with one_thread():
        ours = time_of(product, threads)
    return ours, time_of(lambda left, right: torch.bmm(left, right.transpose(1, 2)), 1)


class _Products:
    """The matrix products of one training step, or of one look at the valid split."""

    def __init__(
        self,
        points: int,
        rows: int,
        width: int,
        outputs: int,
        tracks: int,
        spec: ProbeSpec,
        training: bool,
        call: Call,
    ) -> None:
        """Makes random operands.

        Args:
            points: grid points that are computed in one stack.
            rows: rows of the first layer's weights, of each point.
            width: of the embeddings.
            outputs: number of tags.
            tracks: in the batch, or in the valid split.
            spec: the probe.
            training: whether the products of the backward pass are done, too.
            call: multiplies one stack of matrices with the transposed others.
        """
        self.inputs, self.first = (
            torch.randn(1, tracks, width),
            torch.randn(1, points * rows, width),
        )
        self.slope, self.layers = torch.randn(1, points * rows, tracks), spec.kind == "mlp"
        self.second = torch.randn(points, outputs, rows)
        self.active, self.out = (
            torch.randn(points, rows, tracks),
            torch.randn(points, outputs, tracks),
        )
        self.training = training
        self.call = call

    def run(self, times: int) -> None:
        """Does the products so many times."""
        call = self.call
        for _ in range(times):
            call(self.first, self.inputs)
            if self.layers:
                call(self.second, self.active.transpose(1, 2))
            if self.training:
                call(self.slope, self.inputs.transpose(1, 2))
                if self.layers:
                    call(self.out, self.active)
                    call(self.second.transpose(1, 2), self.out.transpose(1, 2))


def loop(
    embeddings: Embeddings,
    labels: np.ndarray,
    valid: np.ndarray,
    test: np.ndarray,
    subsets: list[Subset],
    spec: ProbeSpec,
    fits: dict[int, Fitted],
    looped: int,
) -> tuple[Seconds, tuple[float, float]]:
    """Times a sample of the probes one by one in plain PyTorch.

    Of each size of subset the first is taken; of its grid, `looped` points and the one that we
    chose. Initial weights and batches are ours, so that scores can be compared.

    Returns:
        Seconds extrapolated to all probes, and the largest differences of valid mAP and of test mAP
        between ours and theirs.
    """
    grid = [(rate, decay) for rate in spec.learning_rates for decay in spec.weight_decays]
    wall, processor, by_valid, by_test = 0.0, 0.0, [0.0], [0.0]
    for size in sorted({len(subset.rows) for subset in subsets}):
        alike = [place for place, subset in enumerate(subsets) if len(subset.rows) == size]
        fitted = fits[alike[0]]
        chosen = grid.index(
            (float(fitted.chosen["learning_rate"]), float(fitted.chosen["weight_decay"]))
        )
        sample = sorted({chosen, *np.linspace(0, len(grid) - 1, looped).astype(int).tolist()})
        seconds, used, steps = 0.0, 0.0, 0
        for point in sample:
            start, before = time.perf_counter(), time.process_time()
            score, logits, last = one_probe(
                embeddings, labels, valid, test, subsets[alike[0]], spec, *grid[point]
            )
            seconds, used = (
                seconds + time.perf_counter() - start,
                used + time.process_time() - before,
            )
            steps += last
            by_valid.append(float(fitted.sweep[point]["valid_map"]) - score)
            if point == chosen:
                ours = average_precision_score(labels[test], fitted.logits["mean_embedding"])
                by_test.append(ours - average_precision_score(labels[test], logits))
        every = sum(int(row["stopped"]) for place in alike for row in fits[place].sweep)
        wall, processor = wall + seconds / steps * every, processor + used / steps * every
    return (wall, processor), (max(by_valid, key=abs), max(by_test, key=abs))


def one_probe(
    embeddings: Embeddings,
    labels: np.ndarray,
    valid: np.ndarray,
    test: np.ndarray,
    subset: Subset,
    spec: ProbeSpec,
    rate: float,
    decay: float,
) -> tuple[float, np.ndarray, int]:
    """Fits one probe as one would write it alone.

    Returns:
        Best valid mAP, (test tracks, tags) logits, and the last step.
    """
    train = torch.from_numpy(embeddings.tracks[subset.rows])
    mean, deviation = train.mean(0), train.std(0, correction=0)
    inputs, targets = (train - mean) / deviation, torch.from_numpy(labels[subset.rows]).float()
    valid_inputs, test_inputs = (
        (torch.from_numpy(embeddings.tracks[rows]) - mean) / deviation for rows in (valid, test)
    )
    output = nn.Linear(spec.hidden if spec.kind == "mlp" else inputs.shape[1], labels.shape[1])
    model: nn.Module = output
    if spec.kind == "mlp":
        first = nn.Linear(inputs.shape[1], spec.hidden, bias=False)
        random, bound = (
            torch.Generator().manual_seed(seed_for(subset.seed, "probe/weights")),
            first.in_features**-0.5,
        )
        drawn = torch.empty(spec.hidden, first.in_features + 1).uniform_(
            -bound, bound, generator=random
        )
        first.weight.data.copy_(drawn[:, :-1])
        model = nn.Sequential(
            first, nn.BatchNorm1d(spec.hidden), nn.ReLU(), nn.Dropout(spec.dropout), output
        )
    nn.init.zeros_(output.weight)
    output.bias.data.copy_(torch.logit((targets.sum(0) + 0.5) / (len(targets) + 1)))
    plain = [value for value in model.parameters() if value.ndim == 1]
    groups: list[dict[str, Any]] = [
        {"params": [value for value in model.parameters() if value.ndim == 2]},
        {"params": plain, "weight_decay": 0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=decay)
    best, state, bad, step = -1.0, {}, 0, 0
    size, waiting, epoch = min(spec.batch_size, len(inputs)), np.empty(0, dtype=np.int64), 0
    while step < spec.steps and not (spec.patience and bad >= spec.patience):
        step += 1
        if len(waiting) < size:
            order = generator(subset.seed, "probe/batches", epoch).permutation(len(inputs))
            waiting, epoch = np.concatenate([waiting, order]), epoch + 1
        batch, waiting = torch.from_numpy(waiting[:size]), waiting[size:]
        loss = functional.binary_cross_entropy_with_logits(model(inputs[batch]), targets[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % spec.evaluate_every == 0 or step == spec.steps:
            model.eval()
            with torch.no_grad():
                score = float(average_precision_score(labels[valid], model(valid_inputs).numpy()))
            model.train()
            bad += 1
            if score > best:
                best, bad = score, 0
                state = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(state)
    model.eval()
    with torch.no_grad():
        return best, model(test_inputs).numpy(), step


if __name__ == "__main__":
    main()
