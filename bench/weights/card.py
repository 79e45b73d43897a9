"""The model card of exported weights: what they are, how they were trained, scores and limits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core import registry
from bench.results import Metric, Result, dataset_name

_SHOWN = ("map_macro", "roc_auc_macro", "accuracy", "f1_macro")
_SPLITS = {"train": "the training split", "all": "every track"}
_OWN_FILES = "that of the files, which the harness does not know"
# Fields of a result's protocol that the card shows, and what it calls them.
_PROTOCOL = {
    "trained_on": "the probe learns from",
    "aggregation": "a track's score",
    "labels": "labelled",
    "chosen_on": "hyper-parameters chosen on",
    "interval": "interval",
}


def card(result: Result, others: Sequence[Result], config: dict[str, Any]) -> str:
    """Writes the model card as Markdown.

    Args:
        result: stored result of the exported run.
        others: stored results with the same encoder (other label fractions, draws, data sets).
        config: content of `config.json`.
    """
    title = f"{result.spec.method.name} on {result.spec.encoder.name}"
    if config["pretraining"]["steps"]:
        title += f", pretrained on {config['pretraining']['dataset']}"
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
    """Says what goes in and out, and which encoder, method and run the weights are of."""
    encoder = _summary("encoders", result.spec.encoder.name)
    method = _summary("methods", result.spec.method.name)
    version = result.code.get("version", "")
    front = config["frontend"]["kind"] if config["frontend"] else "waveform"
    return "\n".join(
        [
            f"A frozen audio encoder: {config['seconds']:g} s of mono audio at "
            f"{config['sample_rate']} Hz in, {config['width']} numbers out; "
            f"{result.training['parameters']:,} parameters.",
            "",
            f"- encoder `{result.spec.encoder.name}`: {encoder}",
            f"- method `{result.spec.method.name}`: {method}",
            f"- front end: {front}, in full in `config.json`",
            f"- cell `{result.cell}` of pretext-bench {version}, made {result.created}",
        ]
    )


def _summary(kind: str, name: str) -> str:
    """Returns the first line of a plug-in's docstring, without the full stop."""
    return str(registry.describe(kind, name).get("summary", "")).rstrip(".")


def _use(config: dict[str, Any]) -> str:
    """Shows how the weights are loaded, in Python, on the command line and as ONNX."""
    samples = round(config["seconds"] * config["sample_rate"])
    lines = [
        "```python",
        "from bench.pretrained import load  # of the package pretext-bench",
        'model = load("DIR")  # this folder',
        'vectors = model.embed("song.mp3")  # (segments, width); vectors.mean(axis=0) is the track',
        "```",
        "",
        f"`model(waveform)` takes (batch, {samples}) samples in [-1, 1]. "
        "Many files: `bench embed DIR music/ --out embeddings.npz`.",
    ]
    if config["onnx"]:
        lines += [
            "",
            "`model.onnx` has the front end inside: input `waveform` (batch, samples), output "
            "`embedding` (batch, width), any batch. When it was written it differed from PyTorch "
            f"by {config['onnx']['largest_difference']:.1e} of the largest number at most; "
            f"PyTorch's own rounding was {config['onnx']['rounding_of_pytorch']:.1e}.",
        ]
    if config["labels"]["outputs_of_classifier"]:
        lines += ["", "`model.classifier(embeddings)` gives logits in the order of `tags.txt`."]
    else:
        lines += [
            "",
            "There is no classifier in this folder: the harness keeps a probe's scores, not its "
            "weights. `tags.txt` lists the tags that the scores below are of; train a classifier "
            "on the embeddings.",
        ]
    return "\n".join(lines)


def _training(result: Result, config: dict[str, Any]) -> str:
    """Says how the encoder was trained: recipe, data, steps, optimiser and device."""
    spec, training = result.spec, config["pretraining"]
    recipe = f"- recipe `{config['recipe']}`"
    if spec.scale != 1:
        recipe += f", scaled by {spec.scale:g}"
    if spec.weights:
        recipe += f", starting from imported weights `{spec.weights}`"
    if not training["steps"]:
        return f"{recipe}\n- nothing was trained here"
    split = _SPLITS.get(training["on"], training["on"])
    lines = [
        recipe,
        f"- data: {training['dataset']} ({split}), hash `{training['hash']}`",
        f"- {training['steps']} steps of {spec.train.batch_size} tracks, {spec.train.optimiser} at "
        f"{spec.train.learning_rate:g}, augmentation {spec.augment.name}, seed {spec.seed}",
        f"- trained on {result.device} in {result.seconds.get('pretrain', 0):.0f} s",
    ]
    if result.training.get("warning"):
        lines.append(f"- warning of the run: {result.training['warning']}")
    return "\n".join(lines)


def _scores(cells: Sequence[Result]) -> str:
    """Writes a table with one row for each result, and the protocol of the first."""
    names = [name for name in _SHOWN if any(name in cell.metrics for cell in cells)]
    rows = ["| data set | split | labels | draw | probe | " + " | ".join(names) + " |"]
    rows.append("|" + "---|" * (5 + len(names)))
    for cell in cells:
        about = [
            cell.dataset,
            str(cell.data["split"]),
            f"{cell.spec.fraction:.3g} ({cell.counts['labelled_tracks']} tracks)",
            str(cell.spec.draw),
            str(cell.protocol["probe"]),
        ]
        scores = [_score(cell.metrics.get(name)) for name in names]
        rows.append("| " + " | ".join([*about, *scores]) + " |")
    first = cells[0]
    protocol = [
        f"- {what}: {first.protocol[name]}"
        for name, what in _PROTOCOL.items()
        if first.protocol.get(name)
    ]
    tracks = (
        f"- {first.counts['test_tracks']} test tracks, {first.counts['scored_tags']} tags scored"
    )
    return "\n".join(
        [*rows, "", "The first row is the exported cell. Its protocol:", "", tracks, *protocol]
    )


def _score(metric: Metric | None) -> str:
    """Formats a score and its interval for a table; "" for a metric that was not computed."""
    if metric is None:
        return ""
    if metric.low is None or metric.high is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"


def _data_sets(result: Result) -> list[str]:
    """Lists the data sets of the pretraining, if there was one, and of the labels."""
    names = [result.spec.dataset.name]
    if result.protocol["steps"]:
        names.insert(0, result.spec.pretrain_dataset.name)
    return list(dict.fromkeys(names))


def _about(name: str) -> dict[str, Any]:
    """Reads the constants of a data set's plug-in; none for a CSV or a plug-in that is missing."""
    return registry.describe("datasets", name) if name in registry.names("datasets") else {}


def _licences(result: Result) -> str:
    """Lists the licences of the data sets, and says whether the weights came from elsewhere."""
    lines = [
        f"- {dataset_name(name)}: {_about(name).get('LICENCE', _OWN_FILES)}"
        for name in _data_sets(result)
    ]
    outside = registry.describe("encoders", result.spec.encoder.name).get("EXTERNAL")
    if outside or result.spec.weights:
        lines.append("- the weights are somebody else's: their licence holds for this folder")
    return "\n".join(lines)


def _limits(result: Result, config: dict[str, Any]) -> str:
    """Lists what the scores do not say, and what is known to be wrong with them."""
    lines = [
        "- Scores are of the data sets and splits above; other music, recordings and tags may "
        "score lower.",
        f"- Input is cut into segments of {config['seconds']:g} s; a rest at the end is not heard, "
        "a shorter file is repeated to length.",
        "- Tags are those of one data set, with its gaps and habits; a score is no measure of the "
        "music.",
    ]
    leaked = result.counts.get("leaked_tracks", 0)
    if leaked:
        lines.append(
            f"- {leaked} of the tracks pretrained on are valid or test tracks of {result.dataset}."
        )
    if result.protocol["probe"] == "finetune":
        lines.append(
            "- The score is of the fine-tuned encoder; "
            "the weights here are those before fine-tuning."
        )
    lines += [f"- {note}" for note in result.data.get("notes", [])]
    return "\n".join(lines)


def _citations(result: Result) -> str:
    """Lists what to cite: this project, the method, the encoder, the data sets and the recipe."""
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
