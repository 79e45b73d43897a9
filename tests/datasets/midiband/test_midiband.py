"""The whole data set: its files, its manifest, and what is kept and made again."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

import subprocess
import sys
from functools import partial
from pathlib import Path

import bench.datasets.midiband as midiband
import numpy as np
import pandas as pd
import pytest
import soundfile
from bench.datasets.midiband import splits
from bench.datasets.midiband.compose import compose
from bench.datasets.midiband.plan import plan_track
from bench.datasets.midiband.tagging import TAGS
from pydantic import ValidationError

from bench.data.manifest import SPLITS, InputError, Manifest
from tests.datasets.midiband.small import SMALL, default_tracks, digests, nothing


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    root = tmp_path_factory.mktemp("midiband")
    return root, midiband.manifest(root, SMALL, nothing)


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


def test_a_track_does_not_depend_on_how_many_there_are() -> None:
    few = midiband.describe_track(midiband.Settings(tracks=40), 17)
    many = midiband.describe_track(midiband.Settings(tracks=900), 17)
    assert few == many


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(midiband.PACKAGES, "nosuchsynthesizer", "nosuchsynthesizer<2")
    with pytest.raises(InputError, match="pip install 'nosuchsynthesizer<2'"):
        midiband.fingerprint(SMALL)


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """A limit on the size of a file, which workers inherit, stands for a full disk."""
    code = (
        "import resource, sys; from bench.cli.main import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY)); "
        "main(sys.argv[1:])"
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
