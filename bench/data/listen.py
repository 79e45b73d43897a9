"""What a model is fed: crops of a file before and after augmentation, as sound, as a sheet of pictures, in words."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core import registry
from bench.core.errors import InputError
from bench.core.progress import say
from bench.core.randomness import generator
from bench.core.store import require_writable, write_atomically
from bench.data.audio_files import UnreadableError
from bench.data.augment import Chain
from bench.data.augment.draw import Draw
from bench.data.decode import decode, file_status
from bench.data.frontend import build_frontend
from bench.settings.augmentations import SPECTROGRAM, WAVEFORM, AugmentSpec
from bench.settings.frontends import LogMelSpec

_LOUDEST = 32767.0  # what a sample of the store is divided by


@dataclass(frozen=True)
class Picture:
    """One panel of the sheet.

    Attributes:
        title: above it.
        levels: (mels, frames) in dB; None where the item does not get the transform.
        waveform: (samples,) what is heard; None where there is nothing to hear.
    """

    title: str
    levels: NDArray[np.float32] | None = None
    waveform: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Heard:
    """One crop and what became of it.

    Attributes:
        start_seconds: where it begins in the file.
        words: its parameters, with units.
        pictures: before, each transform alone, and the whole chain.
    """

    start_seconds: float
    words: list[str]
    pictures: list[Picture]


@dataclass(frozen=True)
class Input:
    """What an encoder takes.

    Attributes:
        sample_rate: in Hz.
        samples: of one crop.
        frontend: of its log-mels; None for an encoder of waveforms.
    """

    sample_rate: int
    samples: int
    frontend: LogMelSpec | None


def input_of(encoder: str) -> Input:
    """Sample rate, length and front end of an encoder with its default settings."""
    rate = int(registry.describe("encoders", encoder)["SAMPLE_RATE"])
    module = registry.load("encoders", encoder)
    settings = module.Settings()
    frontend = module.Encoder(settings).frontend
    log_mel = frontend if isinstance(frontend, LogMelSpec) else None
    return Input(rate, round(settings.seconds * rate), log_mel)


def crops(
    path: Path, taken: Input, count: int, seed: int, start: float | None
) -> tuple[NDArray[np.float32], list[int]]:
    """(count, samples) crops in [-1, 1] and their first samples.

    One after another from `start` seconds, or one at a random place of each part of the file. A
    file shorter than a crop is repeated to length, as in training.

    Raises:
        InputError: not readable, or no crop lies behind `start`.
    """
    if file_status(path) is None:
        raise InputError(f"no such audio file: {path}")
    try:
        audio = decode(path, taken.sample_rate).samples
    except UnreadableError as error:
        raise InputError(f"{path}: {error}") from error
    seconds = len(audio) / taken.sample_rate
    audio = np.resize(audio, max(len(audio), taken.samples))
    slack = len(audio) - taken.samples
    if start is None:
        uniform = generator(seed, "listen").random(count)
        starts = [
            int((place + number) / count * (slack + 1)) for place, number in enumerate(uniform)
        ]
    else:
        first = round(start * taken.sample_rate)
        if not 0 <= first <= slack:
            latest = slack / taken.sample_rate
            raise InputError(
                f"--start {start:g}: {path} is {seconds:.2f} s long; give 0 to {latest:.2f} (seconds)"
            )
        starts = [min(first + place * taken.samples, slack) for place in range(count)]
    return np.stack([audio[one : one + taken.samples] for one in starts]).astype(
        np.float32
    ) / _LOUDEST, starts


def examine(
    waveforms: NDArray[np.float32], starts: list[int], taken: Input, spec: AugmentSpec, seed: int
) -> list[Heard]:
    """Every crop before, after each transform alone and after the chain, as the first view of the first step has it."""
    scale_db = None if taken.frontend is None else taken.frontend.scale_db
    chain = Chain(spec, taken.sample_rate, scale_db, seed)
    frontend = build_frontend(_shown(taken))
    before = torch.from_numpy(waveforms)
    after = chain.waveform(before, step=0, view=0)
    draws = chain.draws(len(before), step=0, view=0)
    alone = {
        name: _alone(chain, name, before, draws[name])
        for name in WAVEFORM
        if getattr(spec, name).probability
    }
    plain, whole = frontend(before), chain.log_mel(frontend(after), step=0, view=0)
    changed = {}
    for name in SPECTROGRAM:
        if getattr(spec, name).probability:
            one = AugmentSpec.model_validate({name: getattr(spec, name)})
            changed[name] = Chain(one, taken.sample_rate, scale_db, seed).log_mel(
                plain, step=0, view=0
            )
    heard = []
    for item, start in enumerate(starts):
        pictures = [_picture("before", plain[item], before[item], scale_db)]
        words = []
        for name, each in alone.items():
            words.append(f"{name}: {_words(draws[name], item)}")
            got = item in draws[name].rows
            made = (
                _picture(name, frontend(each[item : item + 1])[0], each[item], scale_db)
                if got
                else Picture(name)
            )
            pictures.append(made)
        for name, levels in changed.items():
            got = not torch.equal(levels[item], plain[item])
            words.append(f"{name}: {'yes' if got else 'no'}")
            pictures.append(_picture(name, levels[item], None, scale_db) if got else Picture(name))
        heard_after = after[item] if spec.on_waveform else None
        pictures.append(_picture("after", whole[item], heard_after, scale_db))
        heard.append(Heard(start / taken.sample_rate, words, pictures))
    return heard


def _shown(taken: Input) -> LogMelSpec:
    """The encoder's own log-mel; of a waveform, one that shows it well."""
    if taken.frontend is not None:
        return taken.frontend
    return LogMelSpec(
        sample_rate=taken.sample_rate, hop=256, mels=96, f_max=taken.sample_rate / 2, top_db=80.0
    )


def _alone(chain: Chain, name: str, waveforms: Tensor, drawn: Draw) -> Tensor:
    """The transform applied to the crops that it was drawn for, and nothing else."""
    changed = waveforms.clone()
    if len(drawn.rows):
        rows = torch.from_numpy(drawn.rows)
        changed[rows] = chain.transform(name, waveforms[rows], drawn)
    return changed


def _picture(
    title: str, levels: Tensor, waveform: Tensor | None, scale_db: float | None
) -> Picture:
    shown = (levels[0] * (scale_db or 1.0)).numpy()
    return Picture(title, shown, None if waveform is None else waveform.numpy())


_UNITS = {
    "ratio": "deviation {:.4f} of the crop's",
    "level_db": "{:.0f} dB below the crop",
    "gain_db": "{:+.1f} dB",
    "delay_ms": "{:.0f} ms",
    "cents": "{:+.0f} cents",
    "reverberance": "reverberance {:.0f} %",
    "damping": "damping {:.0f} %",
    "room": "room {:.0f} %",
    "cutoff_hz": "{:.0f} Hz",
}


def _words(drawn: Draw, item: int) -> str:
    """One item's parameters."""
    places = np.flatnonzero(drawn.rows == item)
    if not len(places):
        return "no"
    values = {name: float(numbers[places[0]]) for name, numbers in drawn.values.items()}
    words = [form.format(values[name]) for name, form in _UNITS.items() if name in values]
    if "low_pass" in values:
        words.insert(0, "low-pass" if values["low_pass"] else "high-pass")
    return ", ".join(words).replace("pass, ", "pass at ") or "yes"


def write(heard: list[Heard], taken: Input, folder: Path, title: str) -> list[Path]:
    """Writes the sounds and the sheet; returns their paths."""
    require_writable(folder)
    written = []
    for number, one in enumerate(heard, start=1):
        for picture in one.pictures:
            if picture.waveform is not None:
                content = io.BytesIO()
                # Floats: a reverberated crop may go beyond full scale, and the encoder sees that it
                # does.
                soundfile.write(
                    content, picture.waveform, taken.sample_rate, format="WAV", subtype="FLOAT"
                )
                written.append(folder / f"{number}_{picture.title}.wav")
                write_atomically(written[-1], content.getvalue())
    titles = "|".join(("before", "after", *WAVEFORM))
    earlier = [
        path for path in folder.glob("*.wav") if re.fullmatch(rf"\d+_({titles})\.wav", path.name)
    ]
    stale = [path for path in earlier if path not in written]
    for path in stale:  # of another chain, or of more crops: they would be taken for this one's
        path.unlink()
    if stale:
        say(f"{folder}: removed {len(stale)} sounds of an earlier call, such as {stale[0].name}")
    written.append(folder / "sheet.png")
    write_atomically(written[-1], sheet(heard, taken, title))
    return written


def sheet(heard: list[Heard], taken: Input, title: str) -> bytes:
    """A PNG: one row a crop, from before over each transform alone to after.

    The same colours for the same level.
    """
    from matplotlib.figure import Figure

    columns = len(heard[0].pictures)
    figure = Figure(figsize=(2.1 * columns + 0.9, 1.75 * len(heard) + 0.7), layout="constrained")
    axes = figure.subplots(len(heard), columns, squeeze=False, sharex=True, sharey=True)
    levels = [
        picture.levels for one in heard for picture in one.pictures if picture.levels is not None
    ]
    top = max(float(level.max()) for level in levels)
    low = max(top - 80, min(float(level.min()) for level in levels))
    seconds = taken.samples / taken.sample_rate
    for row, one in enumerate(heard):
        words = dict(line.split(": ", 1) for line in one.words)
        for axis, picture in zip(axes[row], one.pictures, strict=True):
            if picture.levels is None:
                axis.text(
                    0.5,
                    0.5,
                    "not drawn",
                    ha="center",
                    va="center",
                    transform=axis.transAxes,
                    color="0.5",
                )
                axis.set_facecolor("0.95")
            else:
                extent = (0.0, seconds, 0.0, float(len(picture.levels)))
                drawn = axis.imshow(
                    picture.levels,
                    origin="lower",
                    aspect="auto",
                    cmap="magma",
                    vmin=low,
                    vmax=top,
                    extent=extent,
                )
            name = f"{picture.title.replace('_', ' ')}\n" if row == 0 else ""
            note = words.get(picture.title, "")
            shown = (
                ""
                if picture.levels is None or note == "yes"
                else note.replace("reverberance ", "rev. ")
            )
            axis.set_title(
                name + (f"from {one.start_seconds:.2f} s" if picture.title == "before" else shown),
                fontsize=7,
            )
            axis.tick_params(labelsize=6)
        axes[row][0].set_ylabel("mel band", fontsize=7)
    for axis in axes[-1]:
        axis.set_xlabel("seconds", fontsize=7)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.02, pad=0.01)
    bar.set_label("dB", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    figure.suptitle(title, fontsize=9)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()
