"""The README of exported weights: what they are, how they came about, what they score, and what they cannot do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core import registry
from bench.results import Metric, Result, dataset_name

_SHOWN = ("map_macro", "roc_auc_macro", "accuracy", "f1_macro")
_SPLITS = {"train": "the training split", "all": "every track"}
_OWN_FILES = "that of the files, which the harness does not know"


def card(result: Result, others: Sequence[Result], config: dict[str, Any]) -> str:
    """The model card as Markdown.

    Args:
        result: the exported cell.
        others: stored cells of the same encoder (other fractions, draws, data sets).
        config: what `config.json` says.
    """
    spec = result.spec
    title = f"{spec.method.name} on {spec.encoder.name}, pretrained on {config['pretraining']['dataset']}"
    if not config["pretraining"]["steps"]:
        title = f"{spec.method.name} on {spec.encoder.name}"
    parts = [
        f"# {title}",
        _what(result, config),
        "## Use",
        _use(config),
        "## How it came about",
        _training(result, config),
        "## Scores",
        _scores([result, *others]),
        "## Licence of the data",
        _licences(result),
        "## Limits",
        _limits(result, config),
        "## How to cite",
        _citations(result),
    ]
    return "\n\n".join(parts) + "\n"


def _what(result: Result, config: dict[str, Any]) -> str:
    encoder, method = (
        str(registry.describe(kind, name).get("summary", "")).rstrip(".")
        for kind, name in (
            ("encoders", result.spec.encoder.name),
            ("methods", result.spec.method.name),
        )
    )
    front = config["frontend"]["kind"] if config["frontend"] else "waveform"
    return "\n".join(
        [
            f"A frozen audio encoder: {config['seconds']:g} s of mono audio at {config['sample_rate']} Hz in, "
            f"{config['width']} numbers out; {result.training['parameters']:,} parameters.",
            "",
            f"- encoder `{result.spec.encoder.name}`: {encoder}",
            f"- method `{result.spec.method.name}`: {method}",
            f"- front end: {front}, in full in `config.json`",
            f"- cell `{result.cell}` of pretext-bench {result.code.get('version', '')}, made {result.created}",
        ]
    )


def _use(config: dict[str, Any]) -> str:
    lines = [
        "```python",
        "from bench.pretrained import load  # of the package pretext-bench",
        'model = load("DIR")  # this folder',
        'vectors = model.embed("song.mp3")  # (segments, width); vectors.mean(axis=0) is the track',
        "```",
        "",
        f"`model(waveform)` takes (batch, {round(config['seconds'] * config['sample_rate'])}) samples in [-1, 1]. "
        "Many files: `bench embed DIR music/ --out embeddings.npz`.",
    ]
    if config["onnx"]:
        lines += [
            "",
            "`model.onnx` has the front end inside: input `waveform` (batch, samples), output `embedding` (batch, "
            "width), any batch. When it was written it differed from PyTorch by "
            f"{config['onnx']['largest_difference']:.1e} of the largest number at most; PyTorch's own rounding was "
            f"{config['onnx']['rounding_of_pytorch']:.1e}.",
        ]
    if config["labels"]["outputs_of_classifier"]:
        lines += ["", "`model.classifier(embeddings)` gives logits in the order of `tags.txt`."]
    else:
        lines += [
            "",
            "There is no classifier in this folder: the harness keeps a probe's scores, not its weights. "
            "`tags.txt` lists the tags that the scores below are of; train a classifier on the embeddings.",
        ]
    return "\n".join(lines)


def _training(result: Result, config: dict[str, Any]) -> str:
    spec, training = result.spec, config["pretraining"]
    recipe = f"- recipe `{config['recipe']}`" + (
        f", scaled by {spec.scale:g}" if spec.scale != 1 else ""
    )
    if spec.weights:
        recipe += f", starting from imported weights `{spec.weights}`"
    if not training["steps"]:
        return f"{recipe}\n- nothing was trained here"
    return "\n".join(
        [
            recipe,
            f"- data: {training['dataset']} ({_SPLITS.get(training['on'], training['on'])}), hash `{training['hash']}`",
            f"- {training['steps']} steps of {spec.train.batch_size} tracks, {spec.train.optimiser} at "
            f"{spec.train.learning_rate:g}, augmentation {spec.augment.name}, seed {spec.seed}",
            f"- trained on {result.device} in {result.seconds.get('pretrain', 0):.0f} s",
            *(
                [f"- warning of the run: {result.training['warning']}"]
                if result.training.get("warning")
                else []
            ),
        ]
    )


def _scores(cells: Sequence[Result]) -> str:
    names = [name for name in _SHOWN if any(name in one.metrics for one in cells)]
    rows = ["| data set | split | labels | draw | probe | " + " | ".join(names) + " |"]
    rows.append("|" + "---|" * (5 + len(names)))
    for one in cells:
        labels = f"{one.spec.fraction:.3g} ({one.counts['labelled_tracks']} tracks)"
        scores = [_score(one.metrics.get(name)) for name in names]
        about = [
            one.dataset,
            str(one.data["split"]),
            labels,
            str(one.spec.draw),
            str(one.protocol["probe"]),
        ]
        rows.append("| " + " | ".join([*about, *scores]) + " |")
    first = cells[0]
    protocol = [
        f"- {what}: {first.protocol[name]}"
        for name, what in (
            *(
                ("trained_on", "the probe learns from"),
                ("aggregation", "a track's score"),
                ("labels", "labelled"),
            ),
            *(("chosen_on", "hyper-parameters chosen on"), ("interval", "interval")),
        )
        if first.protocol.get(name)
    ]
    tracks = (
        f"- {first.counts['test_tracks']} test tracks, {first.counts['scored_tags']} tags scored"
    )
    return "\n".join(
        [*rows, "", "The first row is the exported cell. Its protocol:", "", tracks, *protocol]
    )


def _score(metric: Metric | None) -> str:
    if metric is None:
        return ""
    if metric.low is None or metric.high is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"


def _data_sets(result: Result) -> list[str]:
    names = [result.spec.dataset.name]
    if result.protocol["steps"]:
        names.insert(0, result.spec.pretrain_dataset.name)
    return list(dict.fromkeys(names))


def _about(name: str) -> dict[str, Any]:
    """What a data set's file says; nothing of a CSV, or of a plug-in that is not here."""
    return registry.describe("datasets", name) if name in registry.names("datasets") else {}


def _licences(result: Result) -> str:
    lines = [
        f"- {dataset_name(name)}: {_about(name).get('LICENCE', _OWN_FILES)}"
        for name in _data_sets(result)
    ]
    outside = registry.describe("encoders", result.spec.encoder.name).get("EXTERNAL")
    if outside or result.spec.weights:
        lines.append("- the weights are somebody else's: their licence holds for this folder")
    return "\n".join(lines)


def _limits(result: Result, config: dict[str, Any]) -> str:
    lines = [
        "- Scores are of the data sets and splits above; other music, recordings and tags may score lower.",
        f"- Input is cut into segments of {config['seconds']:g} s; a rest at the end is not heard, a shorter file is "
        "repeated to length.",
        "- Tags are those of one data set, with its gaps and habits; a score is no measure of the music.",
    ]
    leaked = result.counts.get("leaked_tracks", 0)
    if leaked:
        lines.append(
            f"- {leaked} of the tracks pretrained on are valid or test tracks of {result.dataset}."
        )
    if result.protocol["probe"] == "finetune":
        lines.append(
            "- The score is of the fine-tuned encoder; the weights here are those before fine-tuning."
        )
    lines += [f"- {note}" for note in result.data.get("notes", [])]
    return "\n".join(lines)


def _citations(result: Result) -> str:
    spec = result.spec
    lines = [f"- pretext-bench {result.code.get('version', '')} (CITATION.cff)"]
    for kind, name in (("methods", spec.method.name), ("encoders", spec.encoder.name)):
        if name in registry.names(kind):
            lines.append(f"- {name}: {registry.describe(kind, name).get('PAPER', '')}")
    for name in _data_sets(result):
        about = _about(name)
        cited = about.get("CITATION") or about.get("PAPER")
        lines += [f"- {name}: {cited}"] if cited else []
    if spec.recipe.endswith(".toml"):
        lines.append(f"- recipe file {Path(spec.recipe).name}, of whoever wrote it")
    return "\n".join(lines)
