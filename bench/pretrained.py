"""Loads frozen encoders that `bench export` wrote, without the harness's training code.

    from bench.pretrained import load
    model = load("DIR")
    vectors = model.embed("song.mp3")  # (segments, width)
    vectors.mean(axis=0)  # the track's embedding

No code in the folder is run: `config.json` names an encoder of this package (or of a plug-in),
`model.safetensors` holds its tensors, and every tensor is checked against its checksum.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from bench.core import registry
from bench.core.errors import InputError
from bench.data.audio_files import UnreadableError
from bench.data.decode import decode
from bench.data.frontend import build_frontend, to_waveform
from bench.data.pcm import excerpt
from bench.data.views import segment_starts
from bench.encoders import Encoder, encode

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
_SEGMENTS = 64  # segments that are encoded together, as in `bench.stages.embed.segments`
_NAMED = 3  # tensors that are named in a message


class Pretrained(nn.Module):
    """A frozen encoder with its front end.

    Attributes:
        config: the content of `config.json`.
        tags: names of the classifier's outputs, which the scores of the model card are of, too.
        sample_rate: of the waveforms, in Hz.
        seconds: length of a segment, in seconds.
        samples: length of a segment, in samples.
        width: length of an embedding.
        classifier: (batch, width) -> (batch, tags) logits, of a method that learns one end to end;
            else None.
    """

    def __init__(
        self,
        config: dict[str, Any],
        tags: tuple[str, ...],
        encoder: Encoder,
        classifier: nn.Module | None,
    ):
        """Puts the parts together; use `load` to make them."""
        super().__init__()
        self.config, self.tags = config, tags
        self.sample_rate, self.seconds = int(config["sample_rate"]), float(config["seconds"])
        self.samples = round(self.seconds * self.sample_rate)
        self.width = int(config["width"])
        self.encoder, self.classifier = encoder, classifier
        self.frontend = build_frontend(encoder.frontend)
        self.requires_grad_(False).eval()

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) waveforms in [-1, 1] at `sample_rate` -> (batch, width) embeddings.

        Raises:
            ValueError: the waveform has another shape.
        """
        if waveform.ndim != 2 or waveform.shape[1] != self.samples:
            raise ValueError(
                f"expected (batch, {self.samples}), {self.seconds:g} s; found "
                f"{tuple(waveform.shape)}"
            )
        embedding: Tensor = self.encoder(self.frontend(waveform))
        return embedding

    def embed(self, path: str | Path) -> NDArray[np.float32]:
        """Embeds the non-overlapping segments of an audio file.

        What is left at the end and is shorter than a segment is left out; a file shorter than a
        segment is repeated to its length.

        Returns:
            (segments, width), at least one segment.

        Raises:
            InputError: the file cannot be read; says why.
        """
        try:
            samples = decode(Path(path), self.sample_rate).samples
        except UnreadableError as reason:
            raise InputError(f"{path}: {reason}") from reason
        return next(self.embed_all([samples]))

    @torch.no_grad()
    def embed_all(self, tracks: Iterable[NDArray[np.int16]]) -> Iterator[NDArray[np.float32]]:
        """Embeds the segments of many tracks; those of several tracks are encoded together.

        Args:
            tracks: (frames,) int16 each, mono at `sample_rate`; read one by one.

        Yields:
            (segments, width) of each track.
        """
        limit = round(self.config["embed"]["max_seconds"] * self.sample_rate)
        waiting: list[NDArray[np.int16]] = []
        vectors: deque[NDArray[np.float32]] = deque()
        counts: deque[int] = deque()
        for track in tracks:
            starts = segment_starts(min(len(track), limit or len(track)), self.samples)
            counts.append(len(starts))
            for start in starts:
                waiting.append(excerpt(track, start, self.samples))
                if len(waiting) == _SEGMENTS:
                    vectors.extend(self._encoded(waiting))
                    waiting = []
            while counts and len(vectors) >= counts[0]:
                yield np.stack([vectors.popleft() for _ in range(counts.popleft())])
        if waiting:
            vectors.extend(self._encoded(waiting))
        for count in counts:
            yield np.stack([vectors.popleft() for _ in range(count)])

    def _encoded(self, segments: list[NDArray[np.int16]]) -> NDArray[np.float32]:
        """Segments of (samples,) each -> (segments, width)."""
        device = next((parameter.device for parameter in self.parameters()), torch.device("cpu"))
        samples = torch.from_numpy(np.stack(segments)).to(device)
        embedded = encode(self.encoder, self.frontend(to_waveform(samples)))
        return np.asarray(embedded.float().cpu().numpy(), np.float32)


def track_embedding(segments: NDArray[np.float32]) -> NDArray[np.float32]:
    """(segments, width) -> (width,) the mean, computed as in `bench.stages.embed.segments`."""
    summed = np.add.reduceat(segments, [0], axis=0, dtype=np.float64)[0]
    return np.asarray(summed / len(segments), np.float32)


def load(folder: str | Path, device: str | torch.device = "cpu") -> Pretrained:
    """Loads what `bench export` wrote.

    Args:
        folder: what `bench export` wrote.
        device: where the encoder is to run.

    Raises:
        InputError: the folder was not written by `bench export`, is damaged, or does not fit this
            version's encoder.
    """
    import safetensors.torch

    folder = Path(folder)
    config = read_config(folder)
    path = folder / WEIGHTS
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: export the run again") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{path} is damaged ({str(error).splitlines()[0]}): export the run again"
        ) from error
    _require_whole(tensors, config["tensors"], path)
    try:
        tags = tuple((folder / "tags.txt").read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{folder / 'tags.txt'} cannot be read: export the run again") from error
    return build(config, tags, tensors, folder).to(device)


def read_config(folder: Path) -> dict[str, Any]:
    """Reads `config.json` of an exported folder.

    Raises:
        InputError: it is missing, damaged, or of another format.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder} is no folder of `bench export`: {CONFIG} cannot be read"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path} is no whole JSON ({str(error).splitlines()[0]}): export the run again"
        ) from error
    version = config.get("format") if isinstance(config, dict) else None
    if version != FORMAT:
        raise InputError(f"{path} is of format {version!r}; this version reads format {FORMAT}")
    wanted = ("cell", "encoder", "sample_rate", "seconds", "width", "frontend", "embed", "tensors")
    missing = [name for name in wanted if name not in config]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}: export the run again")
    return dict(config)


def build(
    config: dict[str, Any], tags: tuple[str, ...], tensors: Mapping[str, Tensor], folder: Path
) -> Pretrained:
    """Builds the model that a configuration describes, and fills it with tensors.

    Args:
        config: see `read_config`.
        tags: names of the classifier's outputs.
        tensors: `encoder.*`, and `classifier.*` where the method has learnt one.
        folder: what paths in the encoder's settings are relative to.

    Raises:
        InputError: there is no such encoder, or tensors are missing, unexpected or of another
            shape.
    """
    name = config["encoder"]["name"]
    settings = dict(config["encoder"]["settings"])
    outside = registry.describe("encoders", name).get("EXTERNAL")
    if outside:
        settings[outside] = str(folder / Path(settings[outside]).expanduser())
    encoder = encoder_of(name, settings)
    if as_plain(encoder.frontend) != config["frontend"] or encoder.width != config["width"]:
        raise InputError(
            f"encoder '{name}' of this version has another front end or width than the one exported"
        )
    linear = _classifier(tensors)
    _require_fitting(encoder, linear, tensors, name)
    encoder.load_state_dict({part: tensors[f"encoder.{part}"] for part in encoder.state_dict()})
    if linear is not None:
        parts = linear.state_dict()
        linear.load_state_dict({part: tensors[f"classifier.{part}"] for part in parts})
    return Pretrained(config, tags, encoder, linear)


def encoder_of(name: str, settings: dict[str, Any]) -> Encoder:
    """Makes a newly initialised encoder; the state of torch's random numbers stays as it was.

    Args:
        name: of the encoder.
        settings: all of its settings.

    Raises:
        InputError: there is no such encoder, or it has other settings in this version.
    """
    module = registry.load("encoders", name)
    try:
        checked = module.Settings.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"settings of encoder '{name}' do not fit this version ({where}: {first['msg']})"
        ) from error
    with torch.random.fork_rng(devices=[]):
        encoder: Encoder = module.Encoder(checked)
    return encoder


def as_plain(spec: BaseModel | None) -> dict[str, Any] | None:
    """A front end's spec with its kind, for JSON; None for encoders that take the waveform."""
    if spec is None:
        return None
    return {"kind": type(spec).__name__.removesuffix("Spec"), **spec.model_dump(mode="json")}


def facts_of(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """Name of each tensor -> its type, its shape and the SHA-256 of its bytes."""
    facts: dict[str, dict[str, Any]] = {}
    for name, value in sorted(tensors.items()):
        content = value.contiguous().reshape(-1).view(torch.uint8).numpy().data
        facts[name] = {
            "dtype": str(value.dtype).removeprefix("torch."),
            "shape": list(value.shape),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    return facts


def _classifier(tensors: Mapping[str, Tensor]) -> nn.Linear | None:
    """A linear classifier for the tensors `classifier.*`, not yet filled.

    None where there are none, or where they are not those of one linear layer.
    """
    names = {name for name in tensors if name.startswith("classifier.")}
    if "classifier.weight" not in names or names - {"classifier.weight", "classifier.bias"}:
        return None
    outputs, width = tensors["classifier.weight"].shape
    return nn.Linear(width, outputs, bias="classifier.bias" in names)


def _require_whole(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], path: Path) -> None:
    """Refuses tensors that are not, by `facts_of`, those that were exported."""
    actual = facts_of(tensors)
    wrong = [f"{name} is missing" for name in facts if name not in actual]
    wrong += [f"{name} is unexpected" for name in actual if name not in facts]
    for name in sorted(actual.keys() & facts.keys()):
        if actual[name]["shape"] != facts[name]["shape"]:
            wrong.append(f"{name} is {actual[name]['shape']}, expected {facts[name]['shape']}")
        elif actual[name] != facts[name]:
            wrong.append(f"{name} has another checksum")
    if wrong:
        raise InputError(f"{path} is not what was exported: {_some(wrong)}")


def _require_fitting(
    encoder: nn.Module, classifier: nn.Module | None, tensors: Mapping[str, Tensor], name: str
) -> None:
    """Refuses tensors that are not, by name and shape, those of the encoder and the classifier."""
    wanted = {f"encoder.{part}": value for part, value in encoder.state_dict().items()}
    if classifier is not None:
        wanted |= {f"classifier.{part}": value for part, value in classifier.state_dict().items()}
    wrong = [f"{part} is missing" for part in wanted if part not in tensors]
    # Tensors of a classifier of another form are left alone.
    known = ("classifier.",) if classifier is None else ()
    unexpected = [part for part in tensors if part not in wanted and not part.startswith(known)]
    wrong += [f"{part} is unexpected" for part in unexpected]
    for part in wanted.keys() & tensors.keys():
        if wanted[part].shape != tensors[part].shape:
            wrong.append(
                f"{part} is {list(tensors[part].shape)}, expected {list(wanted[part].shape)}"
            )
    if wrong:
        raise InputError(f"the tensors do not fit encoder '{name}': {_some(wrong)}")


def _some(wrong: list[str]) -> str:
    """The first few faults, and how many more there are."""
    more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return "; ".join(wrong[:_NAMED]) + more
