"""The embedded data set: composed and rendered music with known factors."""

import hashlib
import signal
import subprocess
import sys
import time
from functools import cache, partial
from pathlib import Path
from typing import Any

import bench.datasets.midiband as midiband
import numpy as np
import pandas as pd
import pytest
import soundfile
from bench.datasets.midiband import splits, workers
from bench.datasets.midiband.compose import compose
from bench.datasets.midiband.harmony import MODES, parse_progression
from bench.datasets.midiband.instruments import FAMILIES, HIGHEST_PITCH, INSTRUMENTS
from bench.datasets.midiband.patterns import (
    BASS_LINES,
    COMPING,
    DRUM_KEYS,
    GROOVES,
    METERS,
    PERCUSSION,
    bar_of,
    steps_in_bar,
)
from bench.datasets.midiband.plan import STYLE_NAMES, plan_artist, plan_track
from bench.datasets.midiband.production import NAMES, draw_production, produce
from bench.datasets.midiband.styles import STYLES
from bench.datasets.midiband.tagging import TAGS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.data.manifest import SPLITS, InputError, Manifest

SMALL = midiband.Settings(tracks=40, seconds=4.0)


def nothing(done: int, total: int) -> None:
    """Progress that nobody looks at."""


@cache
def default_tracks() -> pd.DataFrame:
    """The manifest's table at the default settings, without rendering."""
    chosen = midiband.Settings()
    rows = [midiband.describe_track(chosen, index)[0] for index in range(chosen.tracks)]
    return splits.assign(pd.DataFrame(rows), chosen.seed)


def digests(root: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "audio").iterdir())
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    root = tmp_path_factory.mktemp("midiband")
    return root, midiband.manifest(root, SMALL, nothing)


# The files


def test_files_are_whole_mono_and_named_by_the_manifest(made: tuple[Path, Manifest]) -> None:
    root, manifest = made
    assert len(manifest.tracks) == SMALL.tracks
    assert {f"audio/{name}" for name in digests(root)} == set(manifest.tracks["path"])
    for path in manifest.tracks["path"]:
        info = soundfile.info(root / path)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (
            22_050,
            1,
            "PCM_16",
            4 * 22_050,
        )


def test_audio_sounds_from_start_to_end_without_clipping(made: tuple[Path, Manifest]) -> None:
    root, manifest = made
    for path in manifest.tracks["path"]:
        audio, rate = soundfile.read(root / path)
        assert np.isfinite(audio).all()
        assert 0.02 < np.abs(audio).max() < 0.99
        seconds = np.sqrt(np.mean(audio.reshape(4, rate) ** 2, axis=1))
        assert 20 * np.log10(seconds.min() / np.sqrt(np.mean(audio**2))) > -25


def test_same_seed_gives_the_same_bytes_for_any_number_of_workers(
    made: tuple[Path, Manifest], tmp_path: Path
) -> None:
    root, manifest = made
    (tmp_path / "audio").mkdir()
    maker = partial(midiband.make_track, tmp_path, SMALL, midiband.fingerprint(SMALL))
    seen: list[tuple[int, int]] = []
    rows = midiband.render_all(
        maker, SMALL, lambda done, total: seen.append((done, total)), processes=1
    )
    assert seen == [(done, 40) for done in range(41)]
    assert digests(tmp_path) == digests(root)
    pd.testing.assert_frame_equal(splits.assign(pd.DataFrame(rows), SMALL.seed), manifest.tracks)


def test_another_seed_gives_other_bytes_and_a_length_changes_no_music(tmp_path: Path) -> None:
    for name, chosen in {"a": SMALL, "b": SMALL.model_copy(update={"seed": 1})}.items():
        (tmp_path / name / "audio").mkdir(parents=True)
        midiband.make_track(tmp_path / name, chosen, "made in a test", 3)
    assert digests(tmp_path / "a") != digests(tmp_path / "b")
    short, long = compose(plan_track(0, 3), 4.0), compose(plan_track(0, 3), 12.0)
    for brief, whole in zip(short.parts, long.parts, strict=True):
        assert whole.notes[: len(brief.notes)] == brief.notes


def test_finished_files_are_kept_and_others_made_again(made: tuple[Path, Manifest]) -> None:
    root, manifest = made
    paths = [root / path for path in manifest.tracks["path"][:3]]
    before = digests(root)
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    kept = paths[2].stat().st_mtime_ns
    again = midiband.manifest(root, SMALL, nothing)
    assert digests(root) == before
    assert paths[2].stat().st_mtime_ns == kept
    pd.testing.assert_frame_equal(again.tracks, manifest.tracks)


def test_fingerprint_depends_on_what_changes_a_track() -> None:
    prints = {
        midiband.fingerprint(midiband.Settings(seed=seed, seconds=seconds))
        for seed in (0, 1)
        for seconds in (4, 5)
    }
    assert len(prints) == 4
    assert midiband.fingerprint(midiband.Settings(tracks=50)) == midiband.fingerprint(
        midiband.Settings(tracks=70)
    )


@pytest.mark.parametrize("wrong", [{"tracks": 39}, {"seconds": 1.0}, {"seed": -1}, {"swing": 0.2}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        midiband.Settings.model_validate(wrong)


# The manifest


def test_manifest_keeps_the_contract(made: tuple[Path, Manifest]) -> None:
    manifest = made[1]
    tracks = manifest.tracks
    assert (manifest.kind, manifest.split_name, manifest.tags) == ("tags", "artist", TAGS)
    assert tracks["track_id"].is_unique
    assert (tracks["group"] == tracks["artist"]).all()
    assert set(tracks["split"]) == set(SPLITS)
    for frame in (tracks, default_tracks()):
        assert (frame.groupby("artist")["split"].nunique() == 1).all()
        assert {tag for tags in frame["tags"] for tag in tags} <= set(TAGS)
        assert frame.notna().all().all()


def test_every_tag_is_neither_rare_nor_common_and_stands_in_every_split() -> None:
    tracks = default_tracks()
    shares = pd.DataFrame({tag: [tag in tags for tags in tracks["tags"]] for tag in TAGS})
    assert shares.mean().min() >= 0.04
    assert shares.mean().max() <= 0.60
    counts = shares.groupby(tracks["split"]).sum()
    assert counts.loc[["train", "test"]].to_numpy().min() >= 4
    assert counts.loc["valid"].min() >= 1
    wanted = pd.Series({"train": 0.60, "valid": 0.15, "test": 0.25})
    assert ((tracks["split"].value_counts(normalize=True) - wanted).abs() < 0.02).all()


def test_tags_are_in_the_three_families_of_jamendo() -> None:
    assert len(TAGS) == len(set(TAGS))
    assert {tag.split("---")[0] for tag in TAGS} == {"genre", "instrument", "mood/theme"}
    assert {tag.removeprefix("genre---") for tag in TAGS if tag.startswith("genre")} == set(STYLES)
    assert not {tag.split("---")[1] for tag in TAGS} & set(NAMES)


def test_a_track_does_not_depend_on_how_many_there_are() -> None:
    few = midiband.describe_track(midiband.Settings(tracks=40), 17)
    many = midiband.describe_track(midiband.Settings(tracks=900), 17)
    assert few == many


def test_each_round_of_artists_has_every_style_once() -> None:
    rounds = [
        [plan_artist(5, index).style for index in range(start, start + 10)] for start in (0, 10)
    ]
    assert [sorted(styles) for styles in rounds] == [sorted(STYLE_NAMES)] * 2


# The nuisance


def test_production_is_independent_of_genre() -> None:
    """A permutation test of chi-square over albums, which are what the productions are drawn for."""
    albums = [
        (seed, artist, album) for seed in range(3) for artist in range(60) for album in range(2)
    ]
    genre = pd.factorize(np.array([plan_artist(seed, artist).style for seed, artist, _ in albums]))[
        0
    ]
    production = pd.factorize(np.array([draw_production(*album).name for album in albums]))[0]

    def chi_square(left: np.ndarray, right: np.ndarray) -> float:
        table = np.zeros((left.max() + 1, right.max() + 1))
        np.add.at(table, (left, right), 1)
        expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
        return float(((table - expected) ** 2 / expected).sum())

    random = np.random.default_rng(0)
    permuted = [chi_square(random.permutation(genre), production) for _ in range(300)]
    assert np.mean(np.array(permuted) >= chi_square(genre, production)) > 0.01


def test_production_is_shared_by_an_album_and_no_tag_looks_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracks = default_tracks()
    columns = [name for name in tracks.columns if name.startswith("production")]
    assert len(columns) > 10
    assert (tracks.groupby("album")[columns].nunique() == 1).all().all()
    assert tracks.groupby("artist")["production_level_db"].nunique().eq(2).all()
    before = tracks["tags"].tolist()[:20]
    monkeypatch.setattr(
        midiband,
        "draw_production",
        lambda seed, artist, album: draw_production(seed + 1, artist, album),
    )
    after = [midiband.describe_track(midiband.Settings(), index)[0]["tags"] for index in range(20)]
    assert after == before


@pytest.mark.parametrize("artist", range(6))
def test_production_keeps_length_and_bounds(artist: int) -> None:
    random = np.random.default_rng(0)
    audio = random.standard_normal(30_001).astype(np.float32)
    result = produce(audio, 22_050, draw_production(0, artist, 0), seed=0, index=0)
    assert result.shape == audio.shape
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert 0 < np.abs(result).max() <= 0.971


def test_silence_is_produced_without_a_division_by_zero() -> None:
    with np.errstate(all="raise"):
        result = produce(
            np.zeros(30_000, np.float32), 22_050, draw_production(0, 0, 0), seed=0, index=0
        )
    assert np.isfinite(result).all()


# The music


@given(seed=st.integers(0, 2**32), index=st.integers(0, 500))
@example(
    seed=2_583_100, index=0
)  # an alto saxophone that is to play a chord no tone of which leaves it room
@settings(max_examples=60, deadline=None)
def test_notes_lie_within_range_and_sound(seed: int, index: int) -> None:
    piece = compose(plan_track(seed, index), 5.0)
    assert any(part.notes for part in piece.parts)
    for part in piece.parts:
        instrument = INSTRUMENTS[part.seat.instrument]
        for note in part.notes:
            assert instrument.lowest <= note.pitch <= min(instrument.highest, HIGHEST_PITCH)
            assert note.start >= 0
            assert note.length > 0
            assert 0 < note.velocity <= 1


@pytest.mark.parametrize("style", STYLE_NAMES)
def test_styles_name_only_what_exists(style: str) -> None:
    table = {"drums": GROOVES, "percussion": PERCUSSION, "bass": BASS_LINES, "lead": {}}
    for chair in STYLES[style].chairs:
        known: dict[str, Any] = dict(table.get(chair.role, COMPING))
        assert set(chair.instruments) <= set(INSTRUMENTS)
        assert set(chair.patterns) <= set(known)
        kits = {INSTRUMENTS[name].is_kit for name in chair.instruments}
        assert kits == {chair.role in ("drums", "percussion")}
    assert set(STYLES[style].meters) <= set(METERS)
    assert set(STYLES[style].modes) <= set(MODES)
    for progression in (*STYLES[style].bright, *STYLES[style].dark):
        assert parse_progression(progression)


def test_secondary_dominants_lie_a_fifth_above_their_aim() -> None:
    [[chord]] = parse_progression("V7/ii")
    assert (chord.root, chord.intervals) == (9, (0, 4, 7, 10))
    assert chord.pitch_classes(tonic=0) == (9, 1, 4, 7)
    with pytest.raises(ValueError, match="no Roman numeral"):
        parse_progression("H7")


def test_patterns_have_whole_bars_and_known_drums() -> None:
    texts = [*BASS_LINES.values(), *(comping.pattern for comping in COMPING.values())]
    for groove in (*GROOVES.values(), *PERCUSSION.values()):
        texts += groove.values()
        assert set(groove) <= set(DRUM_KEYS)
    assert {len(text) % 16 for text in texts} == {0}
    for meter in METERS:
        assert {len(bar_of(text, meter, 1)) for text in texts} == {steps_in_bar(meter)}


def test_every_family_is_played_by_some_style() -> None:
    played = {
        INSTRUMENTS[name].family
        for style in STYLES.values()
        for chair in style.chairs
        for name in chair.instruments
    }
    assert played == set(FAMILIES)


# The workers


def hang(number: int) -> int:
    """A render that never returns when it comes to number 2."""
    if number == 2:
        time.sleep(600)
    return number


def hang_once(marker: Path, number: int) -> int:
    """A render that hangs the first time it comes to number 1."""
    if number == 1 and not marker.exists():
        marker.touch()
        time.sleep(600)
    return number


def refuse(number: int) -> int:
    """A render that cannot go on."""
    raise InputError("the sounds are missing")


def fail(number: int) -> int:
    """A render with a mistake in it."""
    raise KeyError(number)


def die(number: int) -> int:
    """A render whose process is ended from outside, as by a lack of memory."""
    signal.raise_signal(signal.SIGTERM)
    return number


def run(job: Any, numbers: int, limit_seconds: float = 0.5) -> list[tuple[int, Any]]:
    return sorted(
        workers.run(
            job, list(range(numbers)), lambda number: f"track {number}", limit_seconds, workers=2
        )
    )


def test_a_hung_worker_is_killed_and_its_track_named(monkeypatch: pytest.MonkeyPatch) -> None:
    crew: list[Any] = []
    start = workers._Worker.__init__

    def remember(self: Any, *arguments: Any) -> None:
        start(self, *arguments)
        crew.append(self.process)

    monkeypatch.setattr(workers._Worker, "__init__", remember)
    with pytest.raises(InputError, match=r"track 2 was not rendered within 0 s.*symusic"):
        run(hang, 4, limit_seconds=0.4)
    assert len(crew) == 3  # two to begin with, and one for the second attempt
    assert not any(process.is_alive() for process in crew)


def test_a_track_that_hangs_once_is_made_the_second_time(tmp_path: Path) -> None:
    assert run(partial(hang_once, tmp_path / "hung"), 3) == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("job", "error", "message"),
    [
        (refuse, InputError, "the sounds are missing"),
        (fail, RuntimeError, "KeyError"),
        (die, InputError, r"rendering track \d \(exit code -15\)"),
    ],
)
def test_errors_of_workers_reach_the_caller(job: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(job, 2)


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(midiband.PACKAGES, "nosuchsynthesizer", "nosuchsynthesizer<2")
    with pytest.raises(InputError, match="pip install 'nosuchsynthesizer<2'"):
        midiband.fingerprint(SMALL)


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """A limit on the size of a file, which workers inherit, stands for a full disk."""
    code = (
        "import resource, sys; from bench.cli.main import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY)); main(sys.argv[1:])"
    )
    script = tmp_path / "run.py"
    script.write_text(f"if __name__ == '__main__':\n    {code}\n")
    command = [
        sys.executable,
        str(script),
        "run",
        "--method",
        "mfcc",
        "--tracks",
        "40",
        "--seconds",
        "4",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "no space left" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
