"""Decoding gives the samples of a whole file, and what a damaged one still holds."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from bench.data import audio_files
from bench.data.decode import decode
from tests.conftest import RATE, tone


def plain(path: Path, rate: int) -> np.ndarray:
    """Decodes a whole file at once, in the simplest way."""
    # soundfile.read would seek first, which changes what an mp3 gives, by its bit reservoir.
    with soundfile.SoundFile(path) as file:
        audio, file_rate = file.read(dtype="float32", always_2d=True), file.samplerate
    mono = audio.mean(axis=1)
    samples = soxr.resample(mono, file_rate, rate, quality="HQ") if file_rate != rate else mono
    peak = float(np.abs(samples).max())
    return np.round(samples * ((1.0 if peak <= 1 else 1 / peak) * 32767)).astype(np.int16)


@pytest.mark.parametrize("block", [2**16, 1000, 7777])
@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_reading_in_blocks_gives_the_bits_of_reading_at_once(
    tmp_path, monkeypatch, ending, channels, rate, block
):
    if ending == "mp3" and channels > 2:
        pytest.skip("mp3 has two channels at most")
    # Loud noise is most likely to clip, and to need an mp3's bit reservoir.
    noise = 0.5 * np.random.default_rng(rate).normal(size=(2 * rate, channels))
    soundfile.write(tmp_path / f"a.{ending}", noise, rate)
    monkeypatch.setattr(audio_files, "_BLOCK", block)
    assert np.array_equal(
        decode(tmp_path / f"a.{ending}", 16_000).samples, plain(tmp_path / f"a.{ending}", 16_000)
    )


def headless(path: Path) -> Path:
    """Writes an mp3 of varying bit rate, without the first frame, which tells its length."""
    noise = 0.2 * np.random.default_rng(0).normal(size=44_100)
    audio = np.concatenate([noise, 0.2 * tone(300, 20.0, 0, rate=44_100)])
    soundfile.write(path, audio, 44_100, bitrate_mode="VARIABLE", compression_level=0.5)
    whole = path.read_bytes()
    path.write_bytes(whole[whole.index(whole[:2], 10) :])
    return path


def test_an_mp3_without_a_header_is_read_to_its_end(tmp_path, monkeypatch):
    path = headless(tmp_path / "a.mp3")
    guessed = plain(path, 16_000)
    assert len(guessed) / 16_000 < 15
    samples = decode(path, 16_000).samples
    assert len(samples) / 16_000 == pytest.approx(21, abs=0.1)
    assert np.array_equal(samples[: len(guessed) - 1000], guessed[:-1000])
    monkeypatch.setattr(audio_files, "_BLOCK", 5000)
    assert np.array_equal(decode(path, 16_000).samples, samples)


def test_only_a_length_that_is_no_guess_is_held_against_an_mp3(tmp_path):
    guessed = headless(tmp_path / "guessed.mp3")
    told = tmp_path / "told.mp3"
    soundfile.write(told, tone(300, 4.0, 0), RATE)
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(b"ID3\3\0\0\0\0\2\x05" + bytes(2 * 128 + 5) + told.read_bytes())
    assert [audio_files._tells_length(path) for path in (guessed, told, tagged)] == [
        False,
        True,
        True,
    ]
    tagged.write_bytes(tagged.read_bytes()[: tagged.stat().st_size // 2])
    assert decode(tagged, RATE).lost_seconds == pytest.approx(2, abs=0.3)


def test_a_disk_that_cannot_be_read_is_not_the_end_of_an_mp3(tmp_path, monkeypatch):
    def copy(file, pipe, length):
        pipe.write(file.read(200_000))
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "copyfileobj", copy)
    with pytest.raises(audio_files.UnreadableError, match="Input/output error"):
        decode(headless(tmp_path / "a.mp3"), RATE)


@pytest.mark.parametrize("share", [0.4, 0.6, 0.77, 0.98])
def test_an_mp3_that_ends_early_gives_what_it_holds(tmp_path, share):
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.random.default_rng(0).normal(size=4 * RATE), RATE)
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * share)])
    decoded = decode(path, RATE)
    assert len(decoded.samples) / RATE == pytest.approx(4 * share, abs=0.2)
    assert decoded.lost_seconds == pytest.approx(4 * (1 - share), abs=0.2)


def test_m4a_is_read_by_pyav_or_says_what_to_install(tmp_path):
    (tmp_path / "a.m4a").write_bytes(b"no m4a at all")
    try:
        import av  # noqa: F401
    except ImportError:
        words = r"\.m4a needs PyAV: pip install 'pretext-bench\[m4a\]'"
    else:
        words = "not readable as audio"
    with pytest.raises(audio_files.UnreadableError, match=words):
        decode(tmp_path / "a.m4a", RATE)


@pytest.mark.parametrize("channels", [1, 2])
def test_m4a_sounds_as_it_should(tmp_path, channels):
    av = pytest.importorskip("av")
    audio = np.tile(tone(440, 3.0, 0, rate=44_100), (channels, 1))
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout={1: "mono", 2: "stereo"}[channels])
        frame = av.AudioFrame.from_ndarray(audio, format="fltp", layout=stream.layout.name)
        frame.sample_rate = 44_100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    samples = decode(path, 16_000).samples
    assert abs(len(samples) - 48_000) < 2_000
    spectrum = np.abs(np.fft.rfft(samples[:48_000]))
    assert abs(spectrum.argmax() * 16_000 / 48_000 - 440) < 2
    assert abs(samples.astype(float).std() / 32767 / audio[0].std() - 1) < 0.05
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(audio_files.UnreadableError):
        decode(path, 16_000)
