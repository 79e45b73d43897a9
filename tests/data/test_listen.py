"""`bench listen`: files that hold what the model is fed, and one line for what cannot be done."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.cli import flags
from bench.cli.listen import listen
from bench.core.errors import InputError
from tests.conftest import tone

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "tone.wav", tone(440.0, 7.0, 0, 22_050), 22_050)
    return tmp_path / "tone.wav"


@pytest.fixture(autouse=True)
def no_settings():
    yield
    flags.overrides.clear()


def given(**transforms: dict[str, float]) -> None:
    flags.overrides.clear()
    flags.overrides.update({"augment": transforms})


def test_sounds_before_each_alone_and_after(audio, tmp_path, capsys):
    given(gain={"probability": 1.0, "low_db": -6.0, "high_db": -6.0}, polarity={"probability": 1.0})
    listen(audio, augment="none", out=tmp_path / "out", count=2, start=1.0)
    sounds = {path.stem: soundfile.read(path) for path in (tmp_path / "out").glob("*.wav")}
    assert set(sounds) == {
        f"{number}_{name}" for number in (1, 2) for name in ("before", "polarity", "gain", "after")
    }
    assert all(rate == 22_050 and len(sound) == 59_049 for sound, rate in sounds.values())
    before, half = sounds["1_before"][0], 10 ** (-6 / 20)
    written = soundfile.read(audio)[0][22_050 : 22_050 + 59_049]
    np.testing.assert_allclose(before, written, atol=1e-4)
    np.testing.assert_allclose(sounds["1_gain"][0], half * before, atol=1e-6)
    np.testing.assert_allclose(sounds["1_after"][0], -half * before, atol=1e-6)
    assert (tmp_path / "out" / "sheet.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert (
        "crop 1, from 1.00 s, 59049 samples at 22050 Hz:\n  polarity: yes\n  gain: -6.0 dB\n"
        in said
    )
    assert "crop 2, from 3.68 s" in said
    assert "wrote 8 WAV files" in said
    (tmp_path / "out" / "my_song.wav").touch()
    given(gain={"probability": 1.0})
    listen(audio, augment="none", out=tmp_path / "out", count=1)
    left = {path.name for path in (tmp_path / "out").glob("*.wav")}
    assert left == {"1_before.wav", "1_gain.wav", "1_after.wav", "my_song.wav"}
    assert "removed 5 sounds of an earlier call" in capsys.readouterr().err


def test_parameters_in_words_and_the_same_seed_gives_the_same(audio, tmp_path, capsys):
    names = ("noise", "filter", "delay", "pitch_shift", "reverb")
    said = []
    for _ in range(2):
        given(**{name: {"probability": 1.0} for name in names})
        listen(audio, out=tmp_path / "out", count=1, seed=3)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    for words in (
        "deviation 0.00",
        "-pass at ",
        " Hz\n",
        " ms\n",
        " cents\n",
        "reverberance ",
        "damping ",
        "room ",
    ):
        assert words in said[0]


def test_log_mels_are_seen_and_not_heard(audio, tmp_path, capsys):
    listen(audio, augment="byol_a", out=tmp_path / "out", count=2)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "1_before.wav",
        "2_before.wav",
        "sheet.png",
    }
    assert "cannot be heard" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augment": "clrm"}, "unknown augmentation 'clrm'; did you mean 'clmr'"),
        ({"start": 5.0}, r"--start 5: .* is 7.00 s long; give 0 to 4.32"),
        ({"count": 0}, "--count 0: give 1 to 32"),
        (
            {"augment": "log_mel", "encoder": "sample_cnn"},
            "changes log-mel spectrograms, and encoder 'sample_cnn' takes",
        ),
        ({"encoder": "sample_cnnn"}, "unknown encoder"),
    ],
)
def test_what_cannot_be_done_is_one_line(audio, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        listen(audio, out=tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_bad_settings_and_files_are_one_line(audio, tmp_path):
    given(gain={"low_db": 3.0})
    with pytest.raises(InputError, match=r"augment.gain: low_db 3 lies above high_db -1"):
        listen(audio, out=tmp_path / "out")
    given(filter={"high_highpass_hz": 12_000.0})
    with pytest.raises(InputError, match="give less than half the sample rate of 22050 Hz"):
        listen(audio, augment="clmr", encoder="sample_cnn", out=tmp_path / "out")
    given(gain={"probabilty": 0.5})
    with pytest.raises(InputError, match=r"unknown setting 'augment.gain.probabilty'"):
        listen(audio, out=tmp_path / "out")
    flags.overrides.clear()
    with pytest.raises(InputError, match="no such audio file"):
        listen(tmp_path / "none.wav", out=tmp_path / "out")
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(InputError, match="not readable as audio"):
        listen(tmp_path / "text.wav", out=tmp_path / "out")
