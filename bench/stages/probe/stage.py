"""The probe stage: from the embeddings and the labelled tracks to the logits of every test track.

The product is described in `bench.stages.probe.logits`.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from bench.core.progress import progress
from bench.data.prepared import Prepared
from bench.settings.specs import RunSpec
from bench.stages.embed.segments import Embeddings
from bench.stages.parts import Cell, Labelled
from bench.stages.probe import finetune
from bench.stages.probe.classifier import classified
from bench.stages.probe.logits import Probed
from bench.stages.probe.probes import Subset, fit_all


def probe_all(
    specs: Sequence[RunSpec], labels: Sequence[Labelled], data: Prepared, embedded: Embeddings,
    device: torch.device, title: str,
) -> Iterator[tuple[int, Probed]]:  # fmt: skip
    """Trains the probes of several cells on the same embeddings as one program.

    Args:
        specs: the cells; the settings of their probes are the same.
        labels: the labelled tracks of each.
        data: the probed data set.
        embedded: its embeddings.
        device: where to train.
        title: of the progress bar.

    Yields:
        (place of the cell, its logits) as soon as it is finished.
    """
    probe = specs[0].probe
    cells = [
        Subset(labelled.rows, spec.probe_seed) for spec, labelled in zip(specs, labels, strict=True)
    ]
    valid, test = data.rows("valid"), data.rows("test")
    started = time.monotonic()
    with progress(title, "steps") as report:
        all_fitted = fit_all(
            embedded, labels[0].targets, data.kind, len(data.tags), valid, test, cells, probe,
            str(device), report,
        )  # fmt: skip
        for place, fitted in all_fitted:
            # They are trained together: each is given an equal share of the time.
            share = (time.monotonic() - started) / len(specs)
            yield place, Probed(fitted.logits, probe.kind, fitted.chosen, fitted.sweep, share)


def end_to_end(
    cell: Cell, pretrained: Path, embedded: Embeddings, device: torch.device, folder: Path
) -> None:
    """Fills a product with the logits of the classifier that a method has learned itself.

    Args:
        cell: the cell.
        pretrained: folder of the trained method.
        embedded: embeddings of the probed data set.
        device: where to compute.
        folder: of the product.
    """
    started = time.monotonic()
    method = cell.load(pretrained, device)
    logits = classified(method, cell.data, embedded, cell.data.rows("test"), device)
    Probed(logits, "end_to_end", {}, [], time.monotonic() - started).write(folder)


def fine_tuned(cell: Cell, pretrained: Path, device: torch.device, folder: Path) -> None:
    """Fills a product with the logits of an encoder that was trained on.

    Args:
        cell: the cell.
        pretrained: folder of the pretrained encoder.
        device: where to train.
        folder: of the product; holds the checkpoints of an earlier attempt.
    """
    finetune.finetune(cell, pretrained, device, folder).write(folder)
    finetune.remove_checkpoints(folder)
