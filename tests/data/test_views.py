"""Views, store, decoding and splits: what must hold for any input."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.randomness import generator, seed_for
from bench.data.audio_files import UnreadableError
from bench.data.decode import decode
from bench.data.pcm import PcmStore, shard_name
from bench.data.tracks_csv import CsvSettings, _draw, manifest
from bench.data.views import ViewSampler, segment_starts
from bench.settings.specs import ViewsSpec
from bench.stages.prepare.shards import lay_out
from tests.conftest import RATE, tone, write_csv


def store_of(folder: Path, lengths: list[int]) -> PcmStore:
    """Track t at sample s holds t * 1000 + s % 1000, so that every view says where it was cut."""
    tracks = [
        np.array([number * 1000 + place % 1000 for place in range(length)], np.int16)
        for number, length in enumerate(lengths)
    ]
    np.concatenate(tracks).tofile(folder / shard_name(0))
    return PcmStore(folder, lay_out(np.array(lengths, np.int64)), sample_rate=100)


def sampler(
    store: PcmStore, seed: int = 0, batch_size: int = 4, views: int = 2, **spec: object
) -> ViewSampler:
    rows = np.arange(len(store.frames))
    return ViewSampler(store, rows, 1.0, views, batch_size, ViewsSpec.model_validate(spec), seed)


def test_pcm_store_reads_what_was_written_and_repeats_short_tracks(tmp_path):
    store = store_of(tmp_path, [300, 30])
    assert store.read(0, 10, 5).tolist() == [10, 11, 12, 13, 14]
    assert store.read(1, 28, 5).tolist() == [1028, 1029, 1000, 1001, 1002]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    step=st.integers(0, 10_000),
    gap=st.floats(0, 3),
    frames=st.integers(40, 900),
)
def test_two_segments_keep_the_gap_wherever_the_track_allows(
    tmp_path_factory, seed, step, gap, frames
):
    store = store_of(tmp_path_factory.mktemp("pcm"), [frames] * 4)
    drawn = sampler(store, seed, min_gap_seconds=gap)
    for number in range(4):
        uniform = generator(seed, "test", step).random((4, 3))[number]
        first, second = drawn._starts(frames, uniform)
        if frames >= 100:
            assert 0 <= min(first, second) <= max(first, second) <= frames - 100
            possible = min(100 + round(gap * 100), frames - 100)
            assert abs(first - second) >= possible
    assert drawn.short == (4 if frames < 100 else 0)
    assert drawn.tight == (4 if frames < 200 + round(gap * 100) else 0)


def test_segments_are_spread_over_the_whole_track_and_in_both_orders(tmp_path):
    drawn = sampler(store_of(tmp_path, [1000] * 4), min_gap_seconds=0.5)
    starts = np.array(
        [drawn._starts(1000, numbers) for numbers in generator(0, "test").random((2000, 3))]
    )
    assert starts.min() < 20
    assert starts.max() > 880
    assert 0.45 < (starts[:, 0] < starts[:, 1]).mean() < 0.55


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), step=st.integers(0, 500))
def test_batches_depend_on_seed_and_step_alone(tmp_path_factory, seed, step):
    store = store_of(tmp_path_factory.mktemp("pcm"), [400] * 9)
    first, second = sampler(store, seed), sampler(store, seed)
    for other in range(3):
        second.batch(other)  # what was drawn before must not matter
    one, two = first.batch(step), second.batch(step)
    assert np.array_equal(one.waveforms, two.waveforms)
    assert np.array_equal(one.rows, two.rows)
    assert np.array_equal(one.waveforms[0, :, 0] // 1000, one.rows)
    assert not np.array_equal(sampler(store, seed + 1).batch(step).waveforms, one.waveforms)


def test_an_item_does_not_depend_on_the_batch_size():
    small, large = (generator(7, "segments", 3).random((size, 3)) for size in (4, 9))
    assert np.array_equal(small, large[:4])


def test_random_numbers_of_different_coordinates_differ():
    drawn = {
        generator(seed, purpose, step).random()
        for seed in range(5)
        for purpose in "abc"
        for step in range(5)
    }
    assert len(drawn) == 75
    assert len({seed_for(0, "a", step) for step in range(100)}) == 100


def test_every_track_comes_once_an_epoch_and_none_twice_in_a_batch(tmp_path):
    drawn = sampler(store_of(tmp_path, [400] * 12))
    epoch = np.concatenate([drawn.batch(step).rows for step in range(3)])
    assert sorted(epoch) == list(range(12))
    assert not np.array_equal(
        epoch, np.concatenate([drawn.batch(step).rows for step in range(3, 6)])
    )


def test_same_mode_gives_every_view_the_same_segment(tmp_path):
    views = sampler(store_of(tmp_path, [400] * 6), mode="same").batch(0).waveforms
    assert np.array_equal(views[0], views[1])
    different = sampler(store_of(tmp_path, [400] * 6)).batch(0).waveforms
    assert not np.array_equal(different[0], different[1])


def test_fewer_tracks_than_a_batch_give_several_items_each(tmp_path):
    batch = sampler(store_of(tmp_path, [400] * 3), batch_size=8, views=1).batch(0)
    assert batch.waveforms.shape == (1, 8, 100)
    assert set(batch.rows) == {0, 1, 2}


@given(frames=st.integers(1, 10_000), samples=st.integers(1, 500))
def test_segments_do_not_overlap_and_stay_inside(frames, samples):
    starts = segment_starts(frames, samples)
    assert starts[0] == 0
    assert all(later - earlier == samples for earlier, later in itertools.pairwise(starts))
    assert len(starts) == 1 or starts[-1] + samples <= frames
    assert frames - (starts[-1] + samples) < samples


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


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(1, 6), min_size=8, max_size=40), seed=st.integers(0, 100))
def test_a_drawn_split_keeps_groups_whole_and_is_near_its_shares(sizes, seed):
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    labels = [["a"] if number % 3 else ["b"] for number in range(len(groups))]
    tracks = pd.DataFrame({"group": groups, "tags": labels})
    dealt = _draw(tracks, {"train": 0.7, "valid": 0.1, "test": 0.2}, seed)
    assert dealt == _draw(tracks, {"train": 0.7, "valid": 0.1, "test": 0.2}, seed)
    by_group = pd.DataFrame({"group": groups, "split": dealt}).groupby("group")["split"].nunique()
    assert (by_group == 1).all()
    assert set(dealt) == {"train", "valid", "test"}
    assert abs(dealt.count("train") / len(dealt) - 0.7) < 0.35


def test_csv_with_other_split_names_tags_and_extra_columns(tmp_path):
    rows = [
        {
            "path": f"{number}.wav",
            "tags": "rock | loud" if number % 2 else "",
            "split": split,
            "mood": "happy",
            "track_id": f"t{number}",
        }
        for number, split in enumerate(
            ["training", "Train", "validation", "dev", "TEST", "testing"]
        )
    ]
    read = manifest(write_csv(tmp_path / "t.csv", rows), CsvSettings())
    assert read.kind == "tags"
    assert read.tags == ("loud", "rock")
    assert read.tracks["split"].tolist() == ["train", "train", "valid", "valid", "test", "test"]
    assert read.tracks["tags"].tolist()[:2] == [[], ["loud", "rock"]]
    assert read.tracks["mood"].tolist() == ["happy"] * 6
    assert read.split_name == "csv"


def test_csv_without_valid_tracks_draws_them_from_train(tmp_path):
    rows = [
        {"path": f"{n}.wav", "label": "ab"[n % 2], "split": "train" if n < 30 else "test"}
        for n in range(40)
    ]
    read = manifest(write_csv(tmp_path / "t.csv", rows), CsvSettings(split_seed=3))
    counts = read.tracks["split"].value_counts()
    assert counts["test"] == 10
    assert 2 <= counts["valid"] <= 8
    assert read.split_name == "csv+valid-3"
    assert "drew 15 %" in read.notes[0]


def test_csv_warns_of_groups_in_two_splits(tmp_path):
    rows = [
        {
            "path": f"{n}.wav",
            "label": "ab"[n % 2],
            "split": ["train", "valid", "test"][n % 3],
            "group": "x",
        }
        for n in range(9)
    ]
    assert (
        "1 groups stand in more than one split"
        in manifest(write_csv(tmp_path / "t.csv", rows), CsvSettings()).notes[0]
    )


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
