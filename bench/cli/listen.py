"""The command `bench listen`: hear and see the input of a model."""

from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.flags import Plugins, begin, overrides
from bench.core.errors import InputError

if TYPE_CHECKING:
    from bench.settings.augmentations import AugmentSpec

_MOST = 32  # the most crops of one sheet


def listen(
    file: Path,
    *,
    augment: str = "clmr",
    encoder: str | None = None,
    out: Path = Path("listen"),
    count: int = 4,
    seed: int = 0,
    start: float | None = None,
    plugins: Plugins = None,
) -> None:
    """Write crops of an audio file before and after augmentation, as WAV files and as a picture.

    The picture is a sheet of mel spectrograms. The crops are changed as the first views of the
    first step of a run with this seed. Each transform is heard and seen alone, too. Settings are
    given by their dotted names, such as `--augment.pitch_shift.probability 1`.

    Parameters
    ----------
    file
        Any audio file that `bench` reads.
    augment
        Chain of augmentations: none, log_mel, clmr, clmr_v1, clmr_thesis, byol_a.
    encoder
        Encoder whose sample rate, length and log-mel are used (sample_cnn; resnet_small where
        log-mels are changed).
    out
        Folder for the files.
    count
        How many crops.
    seed
        Seed of the crops and of their augmentation.
    start
        Where the first crop begins, in seconds; the others follow it. Without it each lies
        somewhere in its own part of the file.
    """
    from bench.core import registry
    from bench.data.listen import crops, examine, input_of, write

    begin(plugins)
    if not 1 <= count <= _MOST:
        raise InputError(f"--count {count}: give 1 to {_MOST}")
    spec = _spec(augment)
    name = encoder or ("resnet_small" if spec.on_spectrogram else "sample_cnn")
    takes = registry.describe("encoders", name).get("INPUT", "log_mel")
    if spec.on_spectrogram and takes != "log_mel":
        raise InputError(
            f"--augment {spec.name} changes log-mel spectrograms, and encoder '{name}' takes "
            f"a {takes}"
        )
    taken = input_of(name)
    waveforms, starts = crops(file, taken, count, seed, start)
    heard = examine(waveforms, starts, taken, spec, seed)
    length = f"{taken.samples} samples at {taken.sample_rate} Hz"
    paths = write(heard, taken, out, f"{file.name}: --augment {spec.name}, seed {seed}, {length}")
    for number, crop in enumerate(heard, start=1):
        print(f"crop {number}, from {crop.start_seconds:.2f} s, {length}:")
        print("".join(f"  {line}\n" for line in crop.words) or "  nothing is changed\n", end="")
    sounds = "" if spec.on_waveform else " (the chain changes log-mels, which cannot be heard)"
    print(f"wrote {len(paths) - 1} WAV files{sounds} and {paths[-1]}")


def _spec(name: str) -> "AugmentSpec":
    """The named chain with the dotted settings of the command line.

    Raises:
        InputError: no such chain or setting, or a bad value.
    """
    from pydantic import ValidationError

    from bench.settings.augmentations import AugmentSpec, preset
    from bench.settings.plug_ins import setting_error
    from bench.settings.recipes import merged

    for section in overrides:
        if section != "augment":
            raise InputError(f"--{section}.… is no setting of `bench listen`; it takes --augment.…")
    given = overrides.get("augment", {})
    if "name" in given:
        raise InputError("augment.name: give --augment NAME")
    try:
        return AugmentSpec.model_validate(merged(preset(name), given))
    except ValidationError as error:
        raise setting_error(error, "augment.") from error
