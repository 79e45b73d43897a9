"""From notes to audio: every note is a General-MIDI sound, shaped, and added to its part's stem.

Three properties of the synthesizer (symusic 0.5, measured over all programs and pitches) decide how
this is done:

- it never returns when a note's playback rate outruns the loop of its sample: at 44.1 kHz some
  notes of pitch 101 and above do that, at 22 050 Hz notes an octave lower. So sounds are made at
  44.1 kHz, within the instruments' natural ranges and not above HIGHEST_PITCH, and are then
  resampled; and `workers` puts a time limit on a track all the same;
- it ignores velocity and cuts a note off within a millisecond, with a click. So each (sound, pitch)
  is made once, and velocity and release are applied here. That also makes it fast, since a track
  needs few different sounds;
- what it renders depends, for some instruments, on what it rendered before. So each sound is made
  by a new synthesizer.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.manifest import InputError

from .compose import Note, Part, Piece
from .instruments import HIGHEST_PITCH, INSTRUMENTS, Instrument

try:
    import pretty_midi
    import soxr
    import symusic
except ImportError as error:  # pragma: no cover - depends on the environment
    raise InputError(
        f"the data set 'midiband' needs the package '{error.name}': "
        "pip install 'symusic<0.6' pretty_midi soxr"
    ) from error

Audio = NDArray[np.float32]

SAMPLE_RATE = 22_050
"""In Hz: of all audio here, and of the files."""
RENDER_RATE = 44_100
"""In Hz: of the synthesizer (see above)."""
CACHE_BYTES = 256 * 2**20
"""Memory that a process keeps sounds in."""

KIT_SECONDS = 2.0
"""Length of every drum stroke, whatever its written length: by then all but a crash is silent."""
PLUCKED_RELEASE_SECONDS = 0.25
"""Time in which a note of an instrument whose notes decay fades out after its written end."""
SUSTAINED_RELEASE_SECONDS = 0.08
"""The same for instruments that sustain."""
VELOCITY_EXPONENT = 1.6
"""Amplitude is velocity to this power: half the velocity is about 10 dB less."""

_TICKS_PER_QUARTER = 480
_QUARTERS_A_MINUTE = 60  # a quarter lasts a second, so a tick is 1/480 s


class Sampler:
    """Makes the sounds of single notes, and keeps the latest in memory. One for each process."""

    def __init__(self) -> None:
        """Finds the file of General-MIDI samples, which comes with pretty_midi.

        Raises:
            InputError: the file is not there.
        """
        self._sounds = Path(pretty_midi.__file__).with_name("TimGM6mb.sf2")
        if not self._sounds.is_file():
            raise InputError(
                f"{self._sounds} is missing; 'pip install --force-reinstall pretty_midi' brings "
                "it back"
            )
        self._kept: OrderedDict[tuple[int, bool, int, int], Audio] = OrderedDict()
        self._kept_bytes = 0

    def sound(self, instrument: Instrument, pitch: int, seconds: float) -> Audio:
        """A held note of at least so many seconds.

        Lengths are rounded up to powers of two seconds: so few sounds are made, and none depends on
        which were made before.

        Returns:
            (samples,) float32 at SAMPLE_RATE.

        Raises:
            ValueError: the pitch lies outside the instrument's range.
        """
        if not instrument.lowest <= pitch <= min(instrument.highest, HIGHEST_PITCH):
            raise ValueError(
                f"pitch {pitch} lies outside the range of program {instrument.program}"
            )
        held = 2 ** max(0, int(np.ceil(np.log2(seconds))))
        key = (instrument.program, instrument.is_kit, pitch, held)
        if key not in self._kept:
            self._kept[key] = self._make(instrument, pitch, held)
            self._kept_bytes += self._kept[key].nbytes
            while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(key)
        return self._kept[key]

    def _make(self, instrument: Instrument, pitch: int, seconds: int) -> Audio:
        score = symusic.Score(_TICKS_PER_QUARTER)
        score.tempos.append(symusic.Tempo(0, _QUARTERS_A_MINUTE))
        track = symusic.Track("", instrument.program, instrument.is_kit)
        track.notes.append(symusic.Note(0, seconds * _TICKS_PER_QUARTER, pitch, 100))
        score.tracks.append(track)
        # A new synthesizer each time takes 2 ms; one that is used again would make the sound depend
        # on the tracks before.
        synthesizer = symusic.Synthesizer(sf_path=str(self._sounds), sample_rate=RENDER_RATE)
        stereo = np.asarray(synthesizer.render(score, stereo=True), dtype=np.float32)
        mono = soxr.resample(0.5 * (stereo[0] + stereo[1]), RENDER_RATE, SAMPLE_RATE, quality="HQ")
        return np.asarray(mono[: seconds * SAMPLE_RATE], dtype=np.float32)


def render_stem(sampler: Sampler, part: Part, samples: int) -> Audio:
    """Renders one part alone, (samples,), at the synthesizer's own loudness."""
    instrument = INSTRUMENTS[part.seat.instrument]
    stem = np.zeros(samples, dtype=np.float32)
    for note in part.notes:
        start = round(note.start * SAMPLE_RATE)
        if start < samples:
            sound = _shape(sampler, instrument, note)[: samples - start]
            stem[start : start + len(sound)] += sound
    return stem


def _shape(sampler: Sampler, instrument: Instrument, note: Note) -> Audio:
    """A note's sound with its velocity and its release, (samples,)."""
    if instrument.is_kit:
        held, release = KIT_SECONDS - SUSTAINED_RELEASE_SECONDS, SUSTAINED_RELEASE_SECONDS
    else:
        held = note.length
        release = SUSTAINED_RELEASE_SECONDS if instrument.sustains else PLUCKED_RELEASE_SECONDS
    fade = round(release * SAMPLE_RATE)
    samples = round(held * SAMPLE_RATE) + fade
    sound = sampler.sound(instrument, note.pitch, samples / SAMPLE_RATE)[:samples] * np.float32(
        note.velocity**VELOCITY_EXPONENT
    )
    sound[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32) ** 2
    return sound


def loudness(audio: Audio) -> float:
    """Root mean square of the 50 ms frames within 20 dB of the loudest one; 0 for silence.

    Rests of a part so do not count.
    """
    frame = SAMPLE_RATE // 20
    whole = audio[: len(audio) // frame * frame].reshape(-1, frame)
    power = np.mean(np.square(whole, dtype=np.float64), axis=1)
    sounding = power[power >= 0.01 * power.max()]
    return float(np.sqrt(sounding.mean()))


def mix(sampler: Sampler, piece: Piece) -> Audio:
    """Mixes the whole band, the lead-in included.

    Each stem is brought to its seat's level first, so that an instrument that is tagged can be
    heard, however loud its samples are.

    Returns:
        (samples,) float32 at SAMPLE_RATE.
    """
    samples = round((piece.plan.lead_in_seconds + piece.seconds) * SAMPLE_RATE)
    total = np.zeros(samples, dtype=np.float32)
    for part in piece.parts:
        stem = render_stem(sampler, part, samples)
        level = loudness(stem)
        if level > 0:
            total += stem * np.float32(10 ** (part.seat.level_db / 20) / level)
    return total
