"""A run's frozen encoder becomes a folder that others can use, or a model in memory: `bench export`, `bench embed`."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from bench import pretrained, results
from bench.core import registry
from bench.core.errors import InputError
from bench.core.store import Store, write_json
from bench.pretrained import CONFIG, FORMAT, WEIGHTS, Pretrained
from bench.results import Result
from bench.settings.command import command_for
from bench.settings.specs import ProbeSpec
from bench.settings.traits import sample_rate
from bench.weights.card import card

CARD, TAGS, ONNX, OUTSIDE = "README.md", "tags.txt", "model.onnx", "encoder"
_FILES = {CONFIG, WEIGHTS, CARD, TAGS, ONNX, OUTSIDE}
_DIFFERENCE = 1e-5  # of the written weights' embeddings to those of the weights in home, at most
_NAMED = 3  # runs that a message names


def find_run(name: str, folder: Path) -> Result:
    """The stored result that a name means; of several of one encoder that with most labels.

    Args:
        name: see `runs_named`.
        folder: results.

    Raises:
        InputError: none, or several of different encoders.
    """
    found = runs_named(name, folder)
    if len(found) > 1:
        stems = [results.file_stem(one.spec, one.cell) for one in found]
        some = ", ".join(stems[:_NAMED]) + (
            f" and {len(stems) - _NAMED} more" if len(stems) > _NAMED else ""
        )
        raise InputError(
            f"'{name}' means runs of {len(stems)} encoders ({some}): give more of the name, or the cell's key"
        )
    return found[0]


def runs_named(name: str, folder: Path) -> list[Result]:
    """The stored results that a name means: of every encoder that with most labels, and of those the usual probe.

    Args:
        name: path of a result's JSON; or the beginning of a cell's key or of its files' name, in
            `folder`/runs.
        folder: results.

    Raises:
        InputError: there is none.
    """
    if name.endswith(".json") or Path(name).is_file():
        return [results.read(Path(name))]
    stems = [path.stem for path in sorted((folder / "runs").glob("*.json"))]
    cells = {stem: stem.rpartition("-")[2] for stem in stems}
    exact = [stem for stem in stems if name in (stem, cells[stem])]
    found = exact or [
        stem for stem in stems if name and (stem.startswith(name) or cells[stem].startswith(name))
    ]
    if not found:
        known = f"; such as {stems[-1]}" if stems else ": there are none"
        raise InputError(f"no run '{name}' in {folder / 'runs'}{known}")
    best: dict[str, Result] = {}
    for stem in found:
        result = results.read(folder / "runs" / f"{stem}.json")
        encoder = result.products["pretrain"]
        best[encoder] = max(best.get(encoder, result), result, key=_preference)
    return list(best.values())


def _preference(result: Result) -> tuple[int, bool, int, str]:
    """The run that a name means of several on one encoder is the one for which this is largest."""
    usual = result.spec.probe.kind == ProbeSpec().kind
    return result.counts["labelled_tracks"], usual, result.spec.score.resamples, result.created


def tensors_of(result: Result, store: Store) -> dict[str, Tensor]:
    """The frozen encoder's tensors (`encoder.*`), and the classifier's of methods that learn one (`classifier.*`).

    Raises:
        InputError: they are no longer in home; says which command makes them again.
    """
    path = store.folder("pretrained", result.products["pretrain"]) / "weights.safetensors"
    if not path.is_file():
        raise InputError(
            f"the weights of {results.file_stem(result.spec, result.cell)} are no longer in {store.home}; make them "
            f"again: {command_for(result.spec).text} --home {store.home} --results again; "
            "then give --results again here as well"
        )
    try:
        return dict(safetensors.torch.load_file(path))
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{path} is damaged: remove the folder {path.parent}, and run the cell again"
        ) from error


def describe(result: Result, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """What `config.json` says of a run's encoder; no path of this machine is in it.

    Args:
        result: the cell.
        tensors: see `tensors_of`.
    """
    spec, settings = result.spec, result.settings
    encoder = pretrained.encoder_of(spec.encoder.name, settings["encoder"])
    return {
        "format": FORMAT,
        "cell": result.cell,
        "encoder": {"name": spec.encoder.name, "settings": settings["encoder"]},
        "input": registry.describe("encoders", spec.encoder.name).get("INPUT", "log_mel"),
        "sample_rate": sample_rate(spec.encoder),
        "seconds": float(settings["encoder"]["seconds"]),
        "width": int(encoder.width),
        "frontend": pretrained.as_plain(encoder.frontend),
        "embed": spec.embed.model_dump(mode="json"),
        "method": {"name": spec.method.name, "settings": settings["method"]},
        "recipe": Path(spec.recipe).name,
        "scale": spec.scale,
        "weights": spec.weights,
        "pretraining": {
            "dataset": results.dataset_name(spec.pretrain_dataset.name),
            "hash": result.data["pretrain_hash"],
            "on": result.protocol["pretrained_on"],
            "seed": spec.seed,
            "views": spec.views.model_dump(mode="json"),
            "augment": spec.augment.model_dump(mode="json"),
            "train": spec.train.model_dump(mode="json"),
            "steps": result.protocol["steps"],
        },
        "labels": {
            "dataset": result.dataset,
            "hash": result.data["hash"],
            "split": result.data["split"],
            "kind": result.data["kind"],
            "outputs_of_classifier": int(tensors["classifier.weight"].shape[0])
            if "classifier.weight" in tensors
            else 0,
        },
        "products": result.products,
        "code": result.code,
        "versions": result.versions,
        "created": result.created,
        "onnx": None,
        "tensors": pretrained.facts_of(tensors),
    }


def model_of(result: Result, store: Store) -> Pretrained:
    """A run's encoder in memory, as it lies in home.

    Raises:
        InputError: the weights are no longer in home, or this version's encoder is another one.
    """
    tensors = tensors_of(result, store)
    return pretrained.build(describe(result, tensors), tuple(result.data["tags"]), tensors, Path())


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: names and sizes in bytes.
        onnx: what `config.json` says of the ONNX file; None without one.
    """

    files: dict[str, int]
    onnx: dict[str, Any] | None


def export(result: Result, store: Store, results_folder: Path, to: Path, onnx: bool) -> Exported:
    """Writes a folder with weights, description, tags and model card.

    Under another name first, then renamed.

    Args:
        result: the cell.
        store: home.
        results_folder: where other cells of the same encoder are looked for, whose scores the card
            shows as well.
        to: the folder: a new one, an empty one, or an earlier export of the same run.
        onnx: whether to write `model.onnx`, too.

    Raises:
        InputError: the folder holds something else, the weights are gone, or the ONNX file differs
            from PyTorch.
    """
    to = to.absolute()
    _require_ours(to, result.cell)
    tensors = tensors_of(result, store)
    config = describe(result, tensors)
    tags = tuple(str(tag) for tag in result.data["tags"])
    model = pretrained.build(config, tags, tensors, Path())
    others, _ = results.read_all(results_folder)
    scored = results.preferred(
        [
            one
            for one in others
            if one.products["pretrain"] == result.products["pretrain"] and one.cell != result.cell
        ]
    )
    work = to.with_name(f".{to.name}.{os.getpid()}.tmp")
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise InputError(
            f"--to {to}: cannot write there ({(error.strerror or str(error)).lower()})"
        ) from error
    try:
        _outside(model, config, work)
        (work / WEIGHTS).write_bytes(
            safetensors.torch.save(tensors, {"format": "pt", "cell": result.cell})
        )
        (work / TAGS).write_text("".join(f"{tag}\n" for tag in tags), encoding="utf-8")
        if onnx:
            from bench.weights.onnx import write

            config["onnx"] = write(model, work / ONNX)
        write_json(work / CONFIG, config)
        (work / CARD).write_text(card(result, scored, config), encoding="utf-8")
        _compare(model, pretrained.load(work))
        _replace(work, to)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    files = {path.name: path.stat().st_size for path in sorted(to.iterdir()) if path.is_file()}
    return Exported(files, config["onnx"])


def _outside(model: Pretrained, config: dict[str, Any], work: Path) -> None:
    """Takes what an external encoder is built from into the folder."""
    setting = registry.describe("encoders", config["encoder"]["name"]).get("EXTERNAL")
    if not setting:
        return
    (work / OUTSIDE).mkdir()
    for name, content in model.encoder.descriptions().items():  # type: ignore[operator]  # of external encoders
        (work / OUTSIDE / name).write_bytes(content)
    config["encoder"] = {
        **config["encoder"],
        "settings": {**config["encoder"]["settings"], setting: OUTSIDE},
    }


def _compare(model: Pretrained, written: Pretrained) -> None:
    """Reads what was written as a user will, and asks both models for the same thing."""
    from bench.weights.onnx import check_waveforms

    waveforms = check_waveforms(model)
    with torch.no_grad():
        expected, found = model(waveforms), written(waveforms)
    difference = float((found - expected).abs().max() / max(1.0, float(expected.abs().max())))
    if not difference <= _DIFFERENCE:
        raise RuntimeError(f"the exported weights give embeddings that differ by {difference:.1e}")


def _require_ours(to: Path, cell: str) -> None:
    """Refuses to write over anything but an empty folder or an earlier export of the same run.

    Raises:
        InputError: it is something else.
    """
    if not to.exists():
        return
    if not to.is_dir():
        raise InputError(f"--to {to}: there is a file of that name; give a folder")
    names = {path.name for path in to.iterdir()}
    if not names:
        return
    if CONFIG not in names:
        raise InputError(f"--to {to}: the folder holds other files; give a new one")
    try:
        earlier = pretrained.read_config(to)["cell"]
    except InputError:
        earlier = None
    if earlier != cell:
        raise InputError(
            f"--to {to}: the folder holds something else than an export of this run; give a new one"
        )
    if names - _FILES:
        raise InputError(
            f"--to {to}: {sorted(names - _FILES)[0]} is not of the export; move it, or give a new folder"
        )


def _replace(work: Path, to: Path) -> None:
    """Puts the finished folder in its place; an earlier export leaves it only then."""
    old = to.with_name(f".{to.name}.{os.getpid()}.old")
    if to.exists():
        to.rename(old)
    work.rename(to)
    shutil.rmtree(old, ignore_errors=True)
