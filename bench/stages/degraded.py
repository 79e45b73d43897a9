"""Test tracks that were made worse, embedded and given to a probe that was trained on clean ones.

The probe is fitted again on the clean labelled tracks, which gives the same weights, and scores
every version of the test tracks; nothing is chosen by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.core.progress import progress
from bench.core.store import write_array, write_json
from bench.data.degrade import Degradation, DegradedAudio
from bench.data.prepared import Prepared
from bench.method import Method
from bench.settings.specs import RunSpec, digest
from bench.stages.embed.neighbours import RECALL_AT, nearest
from bench.stages.embed.segments import Embeddings, embed, open_embeddings
from bench.stages.parts import Labelled, Parts, frontend_of, load
from bench.stages.probe.aggregate import AGGREGATIONS
from bench.stages.probe.classifier import classified
from bench.stages.probe.logits import read_logits
from bench.stages.probe.probes import Subset, fit_all

_DIFFERENCE = 0.05
"""Largest difference between the logits of the stored probe and those of the probe fitted again.

On a GPU, matrix products of other shapes may round otherwise (see `bench.stages.probe.probes`).
"""


@dataclass(frozen=True)
class OpenedRun:
    """A stored cell, with everything opened that its score on other audio is computed from.

    Attributes:
        spec: the cell.
        parts: its plug-ins.
        data: the data set that is probed.
        labels: its labelled tracks.
        folders: the folder of its product at each stage.
        rows: (test tracks,) rows of the test tracks in the data set.
        device: on which tracks are embedded.
    """

    spec: RunSpec
    parts: Parts
    data: Prepared
    labels: Labelled
    folders: dict[str, Path]
    rows: NDArray[np.int64]
    device: torch.device

    @cached_property
    def method(self) -> Method:
        """The frozen encoder, with the classifier of a method that learned from labels."""
        data, folder = self.data, self.folders["pretrain"]
        return load(self.parts, self.spec, len(data.tags), data.kind == "tags", folder, self.device)


def folder_name(degradation: Degradation) -> str:
    """The name of the folder that holds a degradation's logits, such as "noise_20"."""
    return f"{degradation.kind}_{degradation.level:g}"


def embed_degraded(run: OpenedRun, degradation: Degradation, folder: Path) -> None:
    """Embeds the degraded test tracks, and finds which of them are nearest to each other.

    Args:
        run: the cell.
        degradation: what is done to the tracks.
        folder: of the product, which has the form of a product of the embed stage.
    """
    hashes = run.data.tracks["audio_hash"].to_numpy(str)[run.rows]
    # The noise of a track is a function of its samples: the same for every encoder and data set.
    keys = [int(digest([name, "noise of robustness"]), 16) % 2**32 for name in hashes]
    audio = DegradedAudio(run.data.audio, run.rows, keys, degradation)
    frontend = frontend_of(run.method).to(run.device)
    rows, seconds = np.arange(len(run.rows)), run.parts.encoder_settings.seconds
    with progress(f"embed {run.spec.method.name}, {degradation.words}", "tracks") as report:
        embedded = embed(
            run.method.encoder, frontend, audio, rows, seconds, run.spec.embed, run.device, report
        )
    for name in ("segments", "first", "tracks"):
        write_array(folder / f"{name}.npy", getattr(embedded, name))
    write_array(folder / "nearest.npy", nearest(embedded.tracks, max(RECALL_AT)))
    write_json(folder / "run.json", {"kind": degradation.kind, "level": degradation.level})


def probe_degraded(
    run: OpenedRun, degradations: Sequence[Degradation], versions: Sequence[Embeddings],
    folder: Path,
) -> None:  # fmt: skip
    """Scores degraded test tracks with the cell's probe, and writes a folder for each degradation.

    Args:
        run: the cell.
        degradations: what was done to the tracks.
        versions: the embeddings of the test tracks under each degradation.
        folder: of the product.

    Raises:
        InputError: the probe, fitted again, is not the stored one.
    """
    if run.parts.traits.uses_labels:
        rows = np.arange(len(run.rows))
        logits = [
            classified(run.method, run.data, embedded, rows, run.device) for embedded in versions
        ]
    else:
        logits = _refitted(run, versions, folder)
    for degradation, values in zip(degradations, logits, strict=True):
        place = folder / folder_name(degradation)
        place.mkdir(exist_ok=True)
        for aggregation, array in values.items():
            write_array(place / f"{aggregation}.npy", array)


def _refitted(
    run: OpenedRun, versions: Sequence[Embeddings], folder: Path
) -> list[dict[str, NDArray[np.float32]]]:
    """The logits of the cell's probe on other versions of the test tracks.

    The degraded tracks are appended to the clean ones as further test tracks, so that one training
    scores them all.

    Args:
        run: the cell.
        versions: the embeddings of the test tracks under each degradation.
        folder: of the product; holds a large file while this runs.

    Returns:
        For each version, the logits (test tracks, tags) by aggregation.

    Raises:
        InputError: the probe, fitted again, is not the stored one.
    """
    spec, data, labels, tests = run.spec, run.data, run.labels, len(run.rows)
    path = folder / "segments.npy"
    everything = _appended(open_embeddings(run.folders["embed"]), versions, path)
    further = len(everything.tracks) - len(data.tracks)
    no_labels = np.zeros((further, *labels.targets.shape[1:]), labels.targets.dtype)
    targets = np.concatenate([labels.targets, no_labels])
    test = np.concatenate([run.rows, np.arange(further) + len(data.tracks)])
    with progress(f"{spec.probe.kind} probe of {spec.method.name}", "steps") as report:
        ((_, probed),) = fit_all(
            everything, targets, data.kind, len(data.tags), data.rows("valid"), test,
            [Subset(labels.rows, spec.probe_seed)], spec.probe, str(run.device), report,
        )  # fmt: skip
    path.unlink()
    for aggregation, stored_logits in read_logits(run.folders["probe"]).items():
        difference = float(np.abs(probed.logits[aggregation][:tests] - stored_logits).max())
        if not difference <= _DIFFERENCE:
            raise InputError(
                "the probe, fitted again, gives other logits than the stored ones (by "
                f"{difference:.2g}): other code, libraries or hardware; `bench run` scores the "
                "cell anew"
            )
    starts = range(tests, tests * (1 + len(versions)), tests)
    return [
        {name: probed.logits[name][start : start + tests] for name in AGGREGATIONS}
        for start in starts
    ]


def _appended(clean: Embeddings, versions: Sequence[Embeddings], path: Path) -> Embeddings:
    """The embeddings of all clean tracks, followed by those of each version of the test tracks.

    Args:
        clean: of all tracks of the data set.
        versions: of the test tracks under each degradation.
        path: of a file for the segments, which do not fit into memory for a large data set.
    """
    parts = [clean, *versions]
    sizes = [len(part.segments) for part in parts]
    shape = (sum(sizes), clean.segments.shape[1])
    segments = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    first = [np.zeros(1, np.int64)]
    for part, end in zip(parts, np.cumsum(sizes), strict=True):
        segments[end - len(part.segments) : end] = part.segments
        first.append(np.asarray(part.first[1:]) + end - len(part.segments))
    tracks = np.concatenate([part.tracks for part in parts])
    return Embeddings(segments, np.concatenate(first), tracks)
