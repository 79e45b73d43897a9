"""Export of a run's frozen encoder: as a folder for other people, or as a model in memory."""

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
from bench.core.store import Store, damage_of, write_json
from bench.pretrained import CONFIG, FORMAT, WEIGHTS, Pretrained
from bench.results import Result
from bench.settings.command import command_for
from bench.settings.specs import ProbeSpec
from bench.settings.traits import sample_rate
from bench.weights.card import card

CARD, TAGS, ONNX, OUTSIDE = "README.md", "tags.txt", "model.onnx", "encoder"
_FILES = {CONFIG, WEIGHTS, CARD, TAGS, ONNX, OUTSIDE}
# Largest allowed difference between embeddings of the written weights and of those in home.
_DIFFERENCE = 1e-5
_NAMED = 3  # runs that a message names


def find_run(name: str, folder: Path) -> Result:
    """Finds the stored result that a name means; of several with one encoder, the preferred one.

    Args:
        name: see `runs_named`.
        folder: folder of results.

    Raises:
        InputError: if there is none, or there are several with different encoders.
    """
    runs = runs_named(name, folder)
    if len(runs) > 1:
        stems = [results.file_stem(run.spec, run.cell) for run in runs]
        more = f" and {len(stems) - _NAMED} more" if len(stems) > _NAMED else ""
        raise InputError(
            f"'{name}' means runs of {len(stems)} encoders ({', '.join(stems[:_NAMED])}{more}): "
            "give more of the name, or the cell's key"
        )
    return runs[0]


def runs_named(name: str, folder: Path) -> list[Result]:
    """Finds the stored results that a name means, one for each encoder.

    Of the results with one encoder, the one with most labelled tracks is preferred; among those,
    one with the default probe.

    Args:
        name: path of a result's JSON file; or the beginning of a cell's key, or of the name of its
            files in `folder`/runs.
        folder: folder of results.

    Raises:
        InputError: if there is none.
    """
    if name.endswith(".json") or Path(name).is_file():
        return [results.read(Path(name))]
    stems = [path.stem for path in sorted((folder / "runs").glob("*.json"))]
    cells = {stem: stem.rpartition("-")[2] for stem in stems}
    exact = [stem for stem in stems if name in (stem, cells[stem])]
    named = exact or [
        stem for stem in stems if name and (stem.startswith(name) or cells[stem].startswith(name))
    ]
    if not named:
        known = f"; such as {stems[-1]}" if stems else ": there are none"
        raise InputError(f"no run '{name}' in {folder / 'runs'}{known}")
    best: dict[str, Result] = {}
    for stem in named:
        result = results.read(folder / "runs" / f"{stem}.json")
        encoder = result.products["pretrain"]
        best[encoder] = max(best.get(encoder, result), result, key=_preference)
    return list(best.values())


def _preference(result: Result) -> tuple[int, bool, int, str]:
    """Sort key of results with one encoder; the largest is the one that a name means."""
    usual = result.spec.probe.kind == ProbeSpec().kind
    return result.counts["labelled_tracks"], usual, result.spec.score.resamples, result.created


def tensors_of(result: Result, store: Store) -> dict[str, Tensor]:
    """Reads the weights of a run's frozen encoder.

    Args:
        result: stored result of the run.
        store: store of products in home.

    Returns:
        The encoder's tensors under the names `encoder.*`, and for methods that learn a classifier
        the classifier's under `classifier.*`.

    Raises:
        InputError: if the weights are damaged or no longer in home; the message says which command
            makes them again.
    """
    folder = store.folder("pretrained", result.products["pretrain"])
    path = folder / "weights.safetensors"
    if not path.is_file():
        raise InputError(
            f"the weights of {results.file_stem(result.spec, result.cell)} are no longer in "
            f"{store.home}; make them again: {command_for(result.spec).text} --home {store.home} "
            "--results again; then give --results again here as well"
        )
    if wrong := damage_of(folder):
        raise InputError(f"{folder} is damaged ({wrong}); `bench run` makes it again")
    try:
        return dict(safetensors.torch.load_file(path))
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{path} is damaged: remove the folder {path.parent}, and run the cell again"
        ) from error


def describe(result: Result, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Describes a run's encoder for `config.json`; no path of this machine is in the description.

    Args:
        result: stored result of the run.
        tensors: weights of the encoder, see `tensors_of`.
    """
    spec, settings = result.spec, result.settings
    classifier = tensors.get("classifier.weight")
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
            "outputs_of_classifier": 0 if classifier is None else int(classifier.shape[0]),
        },
        "products": result.products,
        "code": result.code,
        "versions": result.versions,
        "created": result.created,
        "onnx": None,
        "tensors": pretrained.facts_of(tensors),
    }


def model_of(result: Result, store: Store) -> Pretrained:
    """Builds a run's encoder in memory, from the weights in home.

    Args:
        result: stored result of the run.
        store: store of products in home.

    Raises:
        InputError: if the weights are no longer in home, or do not fit the encoder of this version.
    """
    tensors = tensors_of(result, store)
    return pretrained.build(describe(result, tensors), tuple(result.data["tags"]), tensors, Path())


@dataclass(frozen=True)
class Exported:
    """The files of an export.

    Attributes:
        files: size in bytes of each file, by name.
        onnx: what `config.json` says of the ONNX file; None without one.
    """

    files: dict[str, int]
    onnx: dict[str, Any] | None


def export(result: Result, store: Store, results_folder: Path, to: Path, onnx: bool) -> Exported:
    """Writes a folder with weights, description, tags and model card.

    The folder is written under a temporary name and renamed, so that it is complete or absent.

    Args:
        result: stored result of the run to export.
        store: store of products in home.
        results_folder: folder of results, where other cells of the same encoder are found, whose
            scores the card shows as well.
        to: the folder to write: a new one, an empty one, or an earlier export of the same run.
        onnx: whether to write `model.onnx` as well.

    Raises:
        InputError: if the folder holds something else, the weights are gone, or the ONNX file
            differs from PyTorch.
    """
    to = to.absolute()
    _require_ours(to, result.cell)
    tensors = tensors_of(result, store)
    config = describe(result, tensors)
    tags = tuple(str(tag) for tag in result.data["tags"])
    model = pretrained.build(config, tags, tensors, Path())
    scored = _same_encoder(result, results_folder)
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


def _same_encoder(result: Result, folder: Path) -> list[Result]:
    """Finds the other stored results that were scored with a result's encoder."""
    stored, _ = results.read_all(folder)
    encoder = result.products["pretrain"]
    return results.preferred(
        [
            other
            for other in stored
            if other.products["pretrain"] == encoder and other.cell != result.cell
        ]
    )


def _outside(model: Pretrained, config: dict[str, Any], work: Path) -> None:
    """Copies the files that an external encoder is built from into the exported folder.

    Args:
        model: the model.
        config: its description; the setting that names the files is changed to the copies.
        work: the exported folder.
    """
    setting = registry.describe("encoders", config["encoder"]["name"]).get("EXTERNAL")
    if not setting:
        return
    (work / OUTSIDE).mkdir()
    descriptions = model.encoder.descriptions  # a method of external encoders
    for name, content in descriptions().items():  # type: ignore[operator]
        (work / OUTSIDE / name).write_bytes(content)
    config["encoder"] = {
        **config["encoder"],
        "settings": {**config["encoder"]["settings"], setting: OUTSIDE},
    }


def _compare(model: Pretrained, written: Pretrained) -> None:
    """Compares the embeddings of a model with those of the written one, loaded as users load it.

    Raises:
        RuntimeError: if they differ.
    """
    from bench.weights.onnx import check_waveforms

    waveforms = check_waveforms(model)
    with torch.no_grad():
        expected, actual = model(waveforms), written(waveforms)
    difference = float((actual - expected).abs().max() / max(1.0, float(expected.abs().max())))
    if not difference <= _DIFFERENCE:
        raise RuntimeError(f"the exported weights give embeddings that differ by {difference:.1e}")


def _require_ours(to: Path, cell: str) -> None:
    """Refuses to overwrite anything but an empty folder or an earlier export of the same run.

    Args:
        to: the folder to write.
        cell: key of the run's cell.

    Raises:
        InputError: if the folder holds something else.
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
            f"--to {to}: {sorted(names - _FILES)[0]} is not of the export; "
            "move it, or give a new folder"
        )


def _replace(work: Path, to: Path) -> None:
    """Moves the finished folder to its place; an earlier export is removed only after that."""
    old = to.with_name(f".{to.name}.{os.getpid()}.old")
    if to.exists():
        to.rename(old)
    work.rename(to)
    shutil.rmtree(old, ignore_errors=True)
