"""Shows what a model is fed: crops of a file before and after augmentation.

As sounds, as a sheet of spectrograms, and as the parameters in words.
"""

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

_LOUDEST = 32767.0  # full scale of the store's samples


@dataclass(frozen=True)
class Picture:
    """One panel of the sheet.

    Attributes:
        title: "before", "after" or the name of a transform.
        levels: (mels, frames) in dB; None where the crop does not get the transform.
        waveform: (samples,) the sound; None where there is nothing to hear.
    """

    title: str
    levels: NDArray[np.float32] | None = None
    waveform: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Heard:
    """One crop and what became of it.

    Attributes:
        start_seconds: where it begins in the file.
        words: for each transform a line "name: parameters", with units.
        pictures: the crop before, after each transform alone, and after the whole chain.
    """

    start_seconds: float
    words: list[str]
    pictures: list[Picture]


@dataclass(frozen=True)
class Input:
    """The input of an encoder.

    Attributes:
        sample_rate: in Hz.
        samples: length of a crop.
        frontend: spec of its log-mels; None for an encoder that takes waveforms.
    """

    sample_rate: int
    samples: int
    frontend: LogMelSpec | None


def input_of(encoder: str) -> Input:
    """The input of the encoder of that name, with its default settings."""
    rate = int(registry.describe("encoders", encoder)["SAMPLE_RATE"])
    module = registry.load("encoders", encoder)
    settings = module.Settings()
    frontend = module.Encoder(settings).frontend
    log_mel = frontend if isinstance(frontend, LogMelSpec) else None
    return Input(rate, round(settings.seconds * rate), log_mel)


def crops(
    path: Path, taken: Input, count: int, seed: int, start: float | None
) -> tuple[NDArray[np.float32], list[int]]:
    """Cuts crops from a file, which is repeated where it is shorter than one, as in training.

    Args:
        path: of the file.
        taken: input of the encoder.
        count: how many crops.
        seed: of their places.
        start: in seconds, from which crops follow one another; None for one crop at a random place
            of each `count`-th of the file.

    Returns:
        ((count, samples) crops in [-1, 1], their first samples in the file).

    Raises:
        InputError: the file cannot be read, or `start` leaves no room for a crop.
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
                f"--start {start:g}: {path} is {seconds:.2f} s long; give 0 to {latest:.2f} "
                "(seconds)"
            )
        starts = [min(first + place * taken.samples, slack) for place in range(count)]
    cut = np.stack([audio[first : first + taken.samples] for first in starts])
    return cut.astype(np.float32) / _LOUDEST, starts


def examine(
    waveforms: NDArray[np.float32], starts: list[int], taken: Input, spec: AugmentSpec, seed: int
) -> list[Heard]:
    """Augments crops as if they were the first view of the batch of the first step.

    Args:
        waveforms: (crops, samples) in [-1, 1].
        starts: first sample of each crop in the file.
        taken: input of the encoder.
        spec: the augmentation.
        seed: of the run.

    Returns:
        Each crop before, after each transform alone and after the whole chain.
    """
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
            single = AugmentSpec.model_validate({name: getattr(spec, name)})
            single_chain = Chain(single, taken.sample_rate, scale_db, seed)
            changed[name] = single_chain.log_mel(plain, step=0, view=0)
    heard = []
    for item, start in enumerate(starts):
        pictures = [_picture("before", plain[item], before[item], scale_db)]
        words = []
        for name, sounds in alone.items():
            words.append(f"{name}: {_words(draws[name], item)}")
            picture = Picture(name)
            if item in draws[name].rows:
                levels = frontend(sounds[item : item + 1])[0]
                picture = _picture(name, levels, sounds[item], scale_db)
            pictures.append(picture)
        for name, levels in changed.items():
            got = not torch.equal(levels[item], plain[item])
            words.append(f"{name}: {'yes' if got else 'no'}")
            pictures.append(_picture(name, levels[item], None, scale_db) if got else Picture(name))
        heard_after = after[item] if spec.on_waveform else None
        pictures.append(_picture("after", whole[item], heard_after, scale_db))
        heard.append(Heard(start / taken.sample_rate, words, pictures))
    return heard


def _shown(taken: Input) -> LogMelSpec:
    """The encoder's own log-mel; for an encoder of waveforms, one that shows them well."""
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
    """A panel of (1, mels, frames) log-mels in units of `scale_db` dB, or of 1 dB."""
    shown = (levels[0] * (scale_db or 1.0)).numpy()
    return Picture(title, shown, None if waveform is None else waveform.numpy())


# Name of a parameter -> how it is written.
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
    """The parameters that were drawn for an item; "no" where it does not get the transform."""
    places = np.flatnonzero(drawn.rows == item)
    if not len(places):
        return "no"
    values = {name: float(numbers[places[0]]) for name, numbers in drawn.values.items()}
    words = [form.format(values[name]) for name, form in _UNITS.items() if name in values]
    if "low_pass" in values:
        words.insert(0, "low-pass" if values["low_pass"] else "high-pass")
    return ", ".join(words).replace("pass, ", "pass at ") or "yes"


def write(heard: list[Heard], taken: Input, folder: Path, title: str) -> list[Path]:
    """Writes the sounds and the sheet, and removes sounds of an earlier call.

    Args:
        heard: the crops.
        taken: input of the encoder.
        folder: where the files go; made where it is missing.
        title: of the sheet.

    Returns:
        Paths of the files.
    """
    require_writable(folder)
    written = []
    for number, crop in enumerate(heard, start=1):
        for picture in crop.pictures:
            if picture.waveform is not None:
                content = io.BytesIO()
                # Floats: with reverberation a crop may go beyond full scale, which the encoder is
                # given as it is.
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
    for path in stale:  # of another chain, or of more crops: they could be taken for this call's
        path.unlink()
    if stale:
        say(f"{folder}: removed {len(stale)} sounds of an earlier call, such as {stale[0].name}")
    written.append(folder / "sheet.png")
    write_atomically(written[-1], sheet(heard, taken, title))
    return written


def sheet(heard: list[Heard], taken: Input, title: str) -> bytes:
    """Draws the spectrograms: one row a crop, from before over each transform alone to after.

    A level has the same colour everywhere.

    Returns:
        A PNG.
    """
    from matplotlib.figure import Figure

    columns = len(heard[0].pictures)
    figure = Figure(figsize=(2.1 * columns + 0.9, 1.75 * len(heard) + 0.7), layout="constrained")
    axes = figure.subplots(len(heard), columns, squeeze=False, sharex=True, sharey=True)
    levels = [
        picture.levels for crop in heard for picture in crop.pictures if picture.levels is not None
    ]
    top = max(float(level.max()) for level in levels)
    low = max(top - 80, min(float(level.min()) for level in levels))
    seconds = taken.samples / taken.sample_rate
    for row, crop in enumerate(heard):
        words = dict(line.split(": ", 1) for line in crop.words)
        for axis, picture in zip(axes[row], crop.pictures, strict=True):
            if picture.levels is None:
                axis.text(0.5, 0.5, "not drawn", ha="center", va="center",
                          transform=axis.transAxes, color="0.5")  # fmt: skip
                axis.set_facecolor("0.95")
            else:
                drawn = axis.imshow(
                    picture.levels, origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=top,
                    extent=(0.0, seconds, 0.0, float(len(picture.levels))),
                )  # fmt: skip
            name = f"{picture.title.replace('_', ' ')}\n" if row == 0 else ""
            note = _note(picture, crop, words)
            axis.set_title(name + note, fontsize=7)
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


def _note(picture: Picture, crop: Heard, words: dict[str, str]) -> str:
    """The line above a panel: where the crop begins, or the parameters of the transform."""
    if picture.title == "before":
        return f"from {crop.start_seconds:.2f} s"
    note = words.get(picture.title, "")
    if picture.levels is None or note == "yes":
        return ""
    return note.replace("reverberance ", "rev. ")
