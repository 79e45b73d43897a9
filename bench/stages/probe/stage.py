"""What the probe stage does, with objects in place of names: labelled subsets, then logits of every test track.

A product holds the logits under each aggregation (`mean_embedding.npy`, `mean_probability.npy`) and
what was chosen on the valid split (`run.json`).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.core.progress import progress, say
from bench.core.store import load_array, write_array, write_json
from bench.data.prepared import Prepared
from bench.method import Method
from bench.settings.specs import FinetuneSpec, RunSpec, TrainSpec
from bench.stages.embed.segments import Embeddings, embed
from bench.stages.parts import Labelled, Parts, frontend_of, load
from bench.stages.pretrain.stage import train_method
from bench.stages.probe.aggregate import AGGREGATIONS, mean_probability
from bench.stages.probe.inputs import rows_of
from bench.stages.probe.probes import Subset, fit_all

STATES = "learning_rate"
"""Begins the names of the folders in which fine-tuning keeps its checkpoints, one a learning rate
of the grid.
"""
_TRACKS = 512  # whose segments are classified at a time


@dataclass(frozen=True)
class Probed:
    """What the probe stage makes of one cell.

    Attributes:
        logits: aggregation -> (test tracks, outputs).
        kind: of the probe.
        chosen: hyper-parameters that were best on the valid split.
        sweep: one row a grid point.
        seconds: the cell's share of the time.
    """

    logits: dict[str, NDArray[np.float32]]
    kind: str
    chosen: dict[str, Any]
    sweep: list[dict[str, Any]]
    seconds: float

    def write(self, folder: Path) -> None:
        """Writes the product."""
        for name, values in self.logits.items():
            write_array(folder / f"{name}.npy", values)
        write_json(
            folder / "run.json",
            {
                "seconds": self.seconds,
                "kind": self.kind,
                "chosen": self.chosen,
                "sweep": self.sweep,
            },
        )


def read_logits(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The logits of a product: aggregation -> (test tracks, outputs)."""
    return {name: load_array(folder / f"{name}.npy") for name in AGGREGATIONS}


def probe_all(
    specs: Sequence[RunSpec], labels: Sequence[Labelled], data: Prepared, embedded: Embeddings,
    device: torch.device, title: str,
) -> Iterator[tuple[int, Probed]]:  # fmt: skip
    """Trains the probes of several cells on the same embeddings as one program.

    Yields each as it is finished.

    Args:
        specs: the cells; their probe's settings are the same.
        labels: the labelled tracks of each.
        data: the probed data set.
        embedded: its embeddings.
        device: where to train.
        title: of the progress bar.
    """
    probe = specs[0].probe
    cells = [Subset(found.rows, spec.probe_seed) for spec, found in zip(specs, labels, strict=True)]
    valid, test = data.rows("valid"), data.rows("test")
    started = time.monotonic()
    with progress(title, "steps") as report:
        fitted = fit_all(
            embedded, labels[0].targets, data.kind, len(data.tags), valid, test, cells, probe,
            str(device), report,
        )  # fmt: skip
        for index, found in fitted:
            # They are trained together: each is given an equal share of the time.
            share = (time.monotonic() - started) / len(specs)
            yield index, Probed(found.logits, probe.kind, found.chosen, found.sweep, share)


def end_to_end(
    method: Method, data: Prepared, embedded: Embeddings, device: torch.device
) -> Probed:
    """The logits of a method's own classifier."""
    started = time.monotonic()
    logits = classified(method, data, embedded, data.rows("test"), device)
    return Probed(logits, "end_to_end", {}, [], time.monotonic() - started)


def classified(
    method: Method,
    data: Prepared,
    embedded: Embeddings,
    rows: NDArray[np.int64],
    device: torch.device,
) -> dict[str, NDArray[np.float32]]:
    """Logits of a method's own classifier under each aggregation.

    Args:
        method: which learned from labels.
        data: the probed data set.
        embedded: embeddings of tracks.
        rows: places of some of these tracks.
        device: where the method is.

    Returns:
        Aggregation -> (rows, outputs).
    """
    assert method.classifier is not None
    classifier = method.classifier.float()

    @torch.no_grad()
    def forward(inputs: NDArray[np.float32]) -> torch.Tensor:
        logits: torch.Tensor = classifier(torch.from_numpy(np.ascontiguousarray(inputs)).to(device))
        return logits.cpu()

    means = []
    for start in range(0, len(rows), _TRACKS):
        places, first = rows_of(embedded, rows[start : start + _TRACKS], "segments")
        means.append(mean_probability(forward(embedded.segments[places]), first, data.kind))
    logits = {
        "mean_embedding": forward(embedded.tracks[rows]),
        "mean_probability": torch.cat(means),
    }
    return {name: values.numpy() for name, values in logits.items()}


def finetune(
    supervised: Parts, parts: Parts, spec: RunSpec, data: Prepared, labels: Labelled,
    pretrained: Path, device: torch.device, folder: Path,
) -> Probed:  # fmt: skip
    """Trains the frozen encoder on, with a linear classifier, once for each learning rate of the grid.

    Args:
        supervised: the method that learns from labels, with the cell's encoder.
        parts: of the cell.
        spec: the cell.
        data: the probed data set.
        labels: the labelled tracks.
        pretrained: folder of the pretrained encoder.
        device: where to train.
        folder: of the product; holds a checkpoint for each learning rate of an earlier attempt.
    """
    started = time.monotonic()
    best: tuple[float, dict[str, Any], Method] | None = None
    sweep = []
    for number, rate in enumerate(spec.finetune.learning_rates):
        tuned = _continued(spec, spec.finetune, rate)
        method = supervised.build(tuned, len(data.tags), data.kind == "tags").to(device)
        frozen = load(parts, spec, len(data.tags), data.kind == "tags", pretrained, device)
        method.encoder.load_state_dict(frozen.encoder.state_dict())
        place = folder / f"{STATES}_{number}"
        place.mkdir(exist_ok=True)
        title = f"fine-tune at {rate:g}"
        try:
            history, _ = train_method(
                supervised, tuned, data, labels.rows, labels, method, device, place, title
            )
        except (
            InputError
        ) as error:  # it diverged: as in the grids of the other probes, another rate may not
            sweep.append({"learning_rate": rate, "step": 0, "valid_map": -1.0})
            say(f"{title}: left out: {error}")
            continue
        if "valid_map" not in history.best:
            raise InputError(
                f"fine-tuning at learning rate {rate:g} never had a score on the valid split"
            )
        row = {
            "learning_rate": rate,
            "step": int(history.best["step"]),
            "valid_map": history.best["valid_map"],
        }
        sweep.append(row)
        if best is None or row["valid_map"] > best[0]:
            best = row["valid_map"], row, method
    if best is None:
        raise InputError(
            "fine-tuning diverged at every learning rate: give lower --finetune.learning_rates"
        )
    _, chosen, method = best
    seconds = parts.encoder_settings.seconds
    test = data.rows("test")
    embedded = embed(
        method.eval().encoder,
        frontend_of(method).to(device),
        data.audio,
        test,
        seconds,
        spec.embed,
        device,
    )
    logits = classified(method, data, embedded, np.arange(len(test)), device)
    return Probed(logits, "finetune", chosen, sweep, time.monotonic() - started)


def _continued(spec: RunSpec, tuning: FinetuneSpec, learning_rate: float) -> RunSpec:
    """The cell with the budget of fine-tuning in place of that of pretraining, and the probe's seed."""
    shared = tuning.model_dump(exclude={"learning_rates"})
    kept = {
        name: getattr(spec.train, name)
        for name in ("betas", "clip_norm", "precision", "checkpoint_seconds")
    }
    train = TrainSpec(**kept, **shared, learning_rate=learning_rate)
    return spec.model_copy(update={"train": train, "seed": spec.probe_seed})
