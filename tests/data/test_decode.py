"""Decoding: what comes out of files of every format, and which files are refused."""

import numpy as np
import pytest
import soundfile

from bench.data.audio_files import UnreadableError
from bench.data.decode import decode
from tests.conftest import RATE, tone


@pytest.mark.parametrize(
    ("ending", "subtype"),
    [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_24"), ("ogg", "VORBIS"), ("mp3", None)],
)
def test_decodes_resamples_and_mixes_to_mono(tmp_path, ending, subtype):
    audio = tone(440, 1.0, 0, rate=44_100)
    soundfile.write(
        tmp_path / f"a.{ending}", np.stack([audio, 0.5 * audio], axis=1), 44_100, subtype=subtype
    )
    decoded = decode(tmp_path / f"a.{ending}", 16_000)
    assert abs(len(decoded.samples) - 16_000) < (20 if ending != "mp3" else 2_000)
    spectrum = np.abs(np.fft.rfft(decoded.samples[:16_000]))
    assert abs(spectrum.argmax() * 16_000 / len(decoded.samples[:16_000]) - 440) < 3
    assert abs(np.abs(decoded.samples).max() / 32767 - 0.75 * np.abs(audio).max()) < 0.05
    assert decoded.gain_db == 0


def test_resampling_does_not_alias(tmp_path):
    time = np.arange(44_100) / 44_100
    soundfile.write(
        tmp_path / "high.wav", 0.5 * np.sin(2 * np.pi * 12_000 * time), 44_100, subtype="FLOAT"
    )
    soundfile.write(
        tmp_path / "low.wav", 0.5 * np.sin(2 * np.pi * 1_000 * time), 44_100, subtype="FLOAT"
    )
    high, low = (
        decode(tmp_path / f"{name}.wav", 16_000).samples[500:-500].astype(float)
        for name in ("high", "low")
    )
    assert high.std() < 1e-4 * low.std()


def test_too_loud_audio_is_lowered_and_said(tmp_path):
    soundfile.write(tmp_path / "loud.wav", 4 * tone(300, 1.0, 0), RATE, subtype="FLOAT")
    decoded = decode(tmp_path / "loud.wav", RATE)
    assert np.abs(decoded.samples).max() == 32767
    assert -6 < decoded.gain_db < -3


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "aiff", "au"])
def test_truncated_files_are_refused_and_whole_ones_are_not(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, tone(440, 4.0, 0, rate=22_050), 22_050)
    decode(path, 16_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(UnreadableError, match=r"truncated|not readable"):
        decode(path, 16_000)


def test_stereo_that_cancels_in_mono_is_silent(tmp_path):
    audio = tone(440, 1.0, 0)
    soundfile.write(tmp_path / "a.wav", np.stack([audio, -audio], axis=1), RATE)
    with pytest.raises(UnreadableError, match="silent"):
        decode(tmp_path / "a.wav", RATE)


@pytest.mark.parametrize("name", ["a.raw", "x" * 300 + ".wav", "nul\0.wav", "folder", "loop"])
def test_paths_that_are_no_audio_files_have_a_reason(tmp_path, name):
    (tmp_path / "a.raw").write_bytes(b"1234" * 100)
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(UnreadableError):
        decode(tmp_path / name, RATE)
