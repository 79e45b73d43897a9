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
"""Of logits: on a GPU, products of other shapes may round otherwise (see
`bench.stages.probe.probes`).
"""


@dataclass(frozen=True)
class OpenedRun:
    """A stored cell, with what its score on other audio is computed from.

    Attributes:
        spec: of the cell.
        parts: its plug-ins.
        data: the probed data set.
        labels: its labelled tracks.
        folders: of its products, stage by stage.
        rows: places of the test tracks.
        device: where to embed.
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
    """The folder of a degradation's logits, such as "noise_20"."""
    return f"{degradation.kind}_{degradation.level:g}"


def embed_degraded(run: OpenedRun, degradation: Degradation, folder: Path) -> None:
    """Embeds the degraded test tracks, and finds which of them are nearest to each other.

    Args:
        run: the cell.
        degradation: what is done to the tracks.
        folder: of the product; as that of the embed stage.
    """
    hashes = run.data.tracks["audio_hash"].to_numpy(str)[run.rows]
    # The noise of a track is a function of its samples: the same for every encoder and data set.
    keys = [int(digest([one, "noise of robustness"]), 16) % 2**32 for one in hashes]
    audio = DegradedAudio(run.data.audio, run.rows, keys, degradation)
    frontend = frontend_of(run.method).to(run.device)
    rows, seconds = np.arange(len(run.rows)), run.parts.encoder_settings.seconds
    with progress(f"embed {run.spec.method.name}, {degradation.words}", "tracks") as report:
        made = embed(
            run.method.encoder, frontend, audio, rows, seconds, run.spec.embed, run.device, report
        )
    for name in ("segments", "first", "tracks"):
        write_array(folder / f"{name}.npy", getattr(made, name))
    write_array(folder / "nearest.npy", nearest(made.tracks, max(RECALL_AT)))
    write_json(folder / "run.json", {"kind": degradation.kind, "level": degradation.level})


def probe_degraded(
    run: OpenedRun, degradations: Sequence[Degradation], versions: Sequence[Embeddings],
    folder: Path,
) -> None:  # fmt: skip
    """Writes the logits of degraded test tracks, a folder for each degradation.

    Args:
        run: the cell.
        degradations: what was done to the tracks.
        versions: their embeddings, one for each degradation.
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

    The versions stand behind all clean tracks, so that one training scores them all.

    Raises:
        InputError: the probe is not the stored one.
    """
    spec, data, labels, tests = run.spec, run.data, run.labels, len(run.rows)
    path = folder / "segments.npy"
    everything = _behind(open_embeddings(run.folders["embed"]), versions, path)
    behind = len(everything.tracks) - len(data.tracks)
    nothing = np.zeros((behind, *labels.targets.shape[1:]), labels.targets.dtype)
    targets = np.concatenate([labels.targets, nothing])
    test = np.concatenate([run.rows, np.arange(behind) + len(data.tracks)])
    with progress(f"{spec.probe.kind} probe of {spec.method.name}", "steps") as report:
        ((_, made),) = fit_all(
            everything, targets, data.kind, len(data.tags), data.rows("valid"), test,
            [Subset(labels.rows, spec.probe_seed)], spec.probe, str(run.device), report,
        )  # fmt: skip
    path.unlink()
    for aggregation, stored_logits in read_logits(run.folders["probe"]).items():
        difference = float(np.abs(made.logits[aggregation][:tests] - stored_logits).max())
        if not difference <= _DIFFERENCE:
            raise InputError(
                "the probe, fitted again, gives other logits than the stored ones (by "
                f"{difference:.2g}): other code, libraries or hardware; `bench run` scores the "
                "cell anew"
            )
    starts = range(tests, tests * (1 + len(versions)), tests)
    return [
        {name: made.logits[name][start : start + tests] for name in AGGREGATIONS}
        for start in starts
    ]


def _behind(clean: Embeddings, versions: Sequence[Embeddings], path: Path) -> Embeddings:
    """The tracks of all versions behind the clean ones.

    The segments of a large data set do not fit into memory: they go into a file at `path`.
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
