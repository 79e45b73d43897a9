"""What pretrain and embed do, with objects in place of names. Each fills one folder."""

import time
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from bench.augmentations import AugmentSpec
from bench.config import RunSpec
from bench.data.frontend import build_frontend
from bench.data.prepare import Prepared
from bench.data.views import ViewSampler
from bench.encoders import Encoder
from bench.errors import InputError
from bench.method import Method, Settings, Task
from bench.plan import Traits
from bench.probe.embed import embed
from bench.probe.metrics import mean_average_precision, one_vs_rest
from bench.probe.retrieval import RECALL_AT, nearest
from bench.progress import Report, progress, say, silent
from bench.randomness import seed_for
from bench.store import write_array, write_atomically, write_json
from bench.train.batches import Batches
from bench.train.loop import History, train, warning
from bench.train.processes import ALONE, Processes

_LOOKED_AT = 256  # views on which collapse is measured


@dataclass(frozen=True)
class Parts:
    """The plug-ins of one cell as objects.

    Attributes:
        method: the method's module.
        method_settings: its settings, defaults filled in.
        encoder: the encoder's module.
        encoder_settings: its settings, defaults filled in.
        traits: what the method says of itself.
    """

    method: ModuleType
    method_settings: Settings
    encoder: ModuleType
    encoder_settings: Any
    traits: Traits

    def build(self, spec: RunSpec, outputs: int, multi_label: bool, start: Path | None = None) -> Method:
        """The method on its encoder; every method of one seed starts from the same one.

        Args:
            spec: the cell.
            outputs: tags or classes that it learns to predict; 0 without labels.
            multi_label: whether a track can have several.
            start: weights that the encoder starts from; None for those that the seed draws.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(spec.seed, "encoder"))
            encoder: Encoder = self.encoder.Encoder(self.encoder_settings)
            if start:
                _fill(encoder, start)
            torch.manual_seed(seed_for(spec.seed, "heads"))
            task = Task(spec.train.steps, spec.train.batch_size, outputs, multi_label)
            method: Method = self.method.Method(encoder, encoder.width, self.method_settings, task)
        return method


@dataclass(frozen=True)
class Labelled:
    """The labelled part of a data set at one fraction and draw.

    Attributes:
        rows: tracks of the training split whose labels may be used.
        targets: (tracks of the data set, tags) bool, or (tracks,) int for classes.
        without_positive: tags that no labelled track has.
        subset: hash of the labelled tracks' ids.
    """

    rows: NDArray[np.int64]
    targets: NDArray[np.bool_] | NDArray[np.int64]
    without_positive: int
    subset: str


def pretrain(
    parts: Parts, spec: RunSpec, audio: Prepared, rows: NDArray[np.int64], labels: Labelled | None,
    device: torch.device, folder: Path, start: Path | None = None, processes: Processes = ALONE,
) -> None:  # fmt: skip
    """Trains a method; stores the frozen encoder (`weights.safetensors`) and what a reader asks of it (`run.json`).

    Of several processes, process 0 stores, and the others take part in the training alone.

    Args:
        parts: the plug-ins.
        spec: the cell.
        audio: the data set that is pretrained on.
        rows: its tracks that are pretrained on.
        labels: for methods that use labels; they train on the labelled tracks of `audio` alone.
        device: where to train.
        folder: of the product; holds the checkpoint of an earlier attempt.
        start: weights that the encoder starts from; None for those that the seed draws.
        processes: that train together.
    """
    multi_label = audio.kind == "tags"
    rows = labels.rows if labels else rows
    steps = spec.train.budget(len(rows)) if parts.traits.trains else 0
    spec = spec.model_copy(update={"train": spec.train.model_copy(update={"steps": max(1, steps), "epochs": 0.0})})
    method = parts.build(spec, len(audio.tags) if labels else 0, multi_label, start)
    if parts.traits.restores and start is None:
        assert isinstance(method.encoder, Encoder)
        method.encoder.restore()
    method = method.to(device)
    notes: list[str] = []
    history = History()
    if parts.traits.trains:
        title = f"pretrain {spec.method.name}" + (f" on {len(rows)} labelled tracks" if labels else "")
        history, notes = train_method(parts, spec, audio, rows, labels, method, device, folder, title, processes)
    if not processes.first:
        return
    kept = {name: value for name, value in method.state_dict().items() if name.startswith(("encoder.", "classifier."))}
    content = safetensors.torch.save({name: value.cpu().contiguous() for name, value in kept.items()})
    write_atomically(folder / "weights.safetensors", content)
    run = {
        "seconds": history.seconds,
        "curve": history.curve,
        "diagnostics": history.diagnostics,
        "best": history.best,
        "warning": warning(history) if not labels else None,
        "steps": steps,
        "views": steps * batch_size(spec, len(rows), labels is not None) * parts.traits.views,
        "parameters": sum(parameter.numel() for parameter in method.encoder.parameters()),
        "device": (f"{processes.size} x " if processes.size > 1 else "") + device_name(device),
        "threads": torch.get_num_threads(),
        "notes": notes,
    }
    write_json(folder / "run.json", run)


def batch_size(spec: RunSpec, tracks: int, labelled: bool) -> int:
    """Tracks a step, of all processes: no track stands twice in a batch, but for those of a small labelled subset."""
    return spec.train.batch_size if labelled else min(spec.train.batch_size, tracks)


def train_method(
    parts: Parts, spec: RunSpec, audio: Prepared, rows: NDArray[np.int64], labels: Labelled | None, method: Method,
    device: torch.device, folder: Path, title: str, processes: Processes = ALONE,
) -> tuple[History, list[str]]:  # fmt: skip
    """Trains a method in place, from the checkpoint in `folder` if one is there.

    Args:
        parts: the plug-ins of the method that is trained.
        spec: the cell: views, optimisation, budget and seed.
        audio: the data set.
        rows: its tracks that are trained on.
        labels: of these tracks, for methods that use labels; they stop by the valid split.
        method: on its device.
        device: where to train.
        folder: holds the checkpoint.
        title: of the progress bar.
        processes: that train together.

    Returns:
        The run's history, and what had to be done otherwise than asked.
    """
    seconds = parts.encoder_settings.seconds
    notes = []
    size = batch_size(spec, len(rows), labels is not None)
    if size < spec.train.batch_size:
        notes.append(f"batch of {spec.train.batch_size} cut to {size}: there are no more tracks to pretrain on")
    sampler = ViewSampler(audio.audio, rows, seconds, parts.traits.views, size, spec.views, spec.seed)
    if sampler.tight:
        apart = f"two segments {spec.views.min_gap_seconds:g} s apart"
        notes.append(f"{sampler.tight} of {len(rows)} tracks are too short for {apart}: taken as far apart as they go")
    frontend = frontend_of(method).to(device)
    targets = None
    if labels:
        targets = labels.targets.astype(np.float32) if audio.kind == "tags" else labels.targets.astype(np.int64)
    batches = Batches(sampler, frontend, spec.augment, spec.seed, device, targets, processes)
    looked_at = ViewSampler(
        audio.audio, rows, seconds, 1, min(_LOOKED_AT, len(rows)), spec.views, seed_for(spec.seed, "looked at")
    )
    probe_inputs = Batches(looked_at, frontend, AugmentSpec(), spec.seed, device)
    inputs = probe_inputs(0).views[0]
    probe_inputs.close()

    def validate(trained: nn.Module) -> float:
        valid = audio.rows("valid")
        assert isinstance(trained, Method)
        assert labels is not None
        embedded = embed(trained.encoder, frontend, audio.audio, valid, seconds, spec.embed, device)
        return _valid_map(classify(trained, embedded.tracks, device), labels.targets[valid], audio.kind)

    with closing(batches), _shown(title, processes) as report:
        judge = validate if labels else None
        history = train(method, batches, inputs, spec.train, spec.seed, folder, report, judge, processes)
    return history, notes


def _shown(title: str, processes: Processes) -> AbstractContextManager[Report]:
    """The progress of a training, which process 0 shows."""
    return progress(title, "steps") if processes.first else nullcontext(silent())


def _valid_map(logits: NDArray[np.float32], targets: NDArray[Any], kind: str) -> float:
    """Macro average precision over the tags that the valid split has."""
    scores, truth = torch.from_numpy(logits), torch.from_numpy(targets)
    if kind == "classes":
        scores, truth = one_vs_rest(scores), torch.nn.functional.one_hot(truth, logits.shape[1]).bool()
    return float(mean_average_precision(scores, truth))


def frontend_of(method: Method) -> nn.Module:
    """What the method's encoder takes the waveform through."""
    assert isinstance(method.encoder, Encoder)
    return build_frontend(method.encoder.frontend)


@torch.no_grad()
def classify(method: Method, embedded: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    """Logits (tracks, outputs) of a method's own classifier on track embeddings (tracks, width)."""
    assert method.classifier is not None
    logits = method.classifier.float()(torch.from_numpy(embedded).to(device))
    return np.asarray(logits.cpu().numpy(), np.float32)


def encoder_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The encoder's tensors of a file of weights."""
    stored = safetensors.torch.load_file(path)
    return {name.removeprefix("encoder."): value for name, value in stored.items() if name.startswith("encoder.")}


def _fill(encoder: Encoder, path: Path) -> None:
    try:
        encoder.load_state_dict(encoder_tensors(path))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise InputError(f"weights {path.stem} do not fit the encoder: {' '.join(lines)[:300]}") from error


def load(parts: Parts, spec: RunSpec, outputs: int, multi_label: bool, folder: Path, device: torch.device) -> Method:
    """The frozen encoder (and classifier) of a pretraining product; heads of the pretext task are freshly drawn."""
    method = parts.build(spec, outputs if parts.traits.uses_labels else 0, multi_label)
    stored = safetensors.torch.load_file(folder / "weights.safetensors")
    missing, unexpected = method.load_state_dict(stored, strict=False)
    wrong = [name for name in missing if name.startswith(("encoder.", "classifier."))] + unexpected
    if wrong:
        raise RuntimeError(f"{folder} does not fit the encoder: {wrong[:3]}")
    return method.to(device).eval()


def embed_all(parts: Parts, spec: RunSpec, method: Method, data: Prepared, device: torch.device, folder: Path) -> None:
    """Embeds every track of the probed data set, in the manifest's order, and finds the test tracks' neighbours.

    Leaves `segments.npy`, `first.npy`, `tracks.npy` (see `bench.probe.embed.Embeddings`) and `nearest.npy`, the test
    tracks' nearest test tracks.
    """
    started = time.monotonic()
    frontend = frontend_of(method).to(device)

    def allocate(shape: tuple[int, int]) -> NDArray[np.float32]:
        # A large data set's segments do not fit into memory. What a killed attempt left is overwritten.
        return np.lib.format.open_memmap(folder / "segments.npy", mode="w+", dtype=np.float32, shape=shape)

    with progress(f"embed {spec.method.name}", "tracks") as report:
        seconds = parts.encoder_settings.seconds
        embedded = embed(
            method.encoder, frontend, data.audio, data.rows("all"), seconds, spec.embed, device, report, allocate
        )
    embedded.segments.flush()  # type: ignore[attr-defined]  # a memory map
    write_array(folder / "first.npy", embedded.first)
    write_array(folder / "tracks.npy", embedded.tracks)
    write_array(folder / "nearest.npy", nearest(embedded.tracks[data.rows("test")], max(RECALL_AT)))
    write_json(folder / "run.json", {"seconds": time.monotonic() - started, "width": int(embedded.tracks.shape[1])})


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is a GPU where there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def device_name(device: torch.device) -> str:
    """What trained, for the record."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"


def tell(notes: list[str], title: str) -> None:
    """Says what a stage had to do otherwise than asked."""
    for note in notes:
        say(f"{title}: {note}")
