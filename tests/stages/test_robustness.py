"""Degraded audio against known answers, scores on it, and their figure."""

import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import results
from bench.core.errors import InputError
from bench.core.stamp import seal
from bench.core.store import Store
from bench.data import degrade
from bench.data.degrade import KINDS, Degradation, DegradedAudio, usual
from bench.data.pcm import PcmStore
from bench.report.degraded import changes
from bench.report.figures.kinds import draw
from tests.conftest import TINY, make_tones

Main = Callable[..., tuple[int, str, str]]
RATES = [16_000, 22_050, 24_000, 44_100]


def music(rate: int, seconds: float = 3.0) -> np.ndarray:
    """Three steady tones and a click now and then."""
    time = np.arange(round(rate * seconds)) / rate
    tones = [0.2 * np.sin(2 * np.pi * hz * time) for hz in (440.0, 1234.0, 3100.0)]
    samples = tones[0] + tones[1] + tones[2]
    samples[:: rate // 3] += 0.3
    return np.asarray(samples, np.float32)


def change(
    kind: str, level: float, samples: np.ndarray, rate: int = 16_000, key: int = 7
) -> np.ndarray:
    Degradation(kind, level).check(rate)
    return KINDS[kind].change(samples, level, rate, key)


def level_db(samples: np.ndarray, rate: int, low: float, high: float) -> float:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / rate)
    return float(10 * np.log10(power[(hz >= low) & (hz < high)].sum() + 1e-20))


@pytest.mark.parametrize("snr", [40.0, 20.0, 0.0, -10.0])
def test_noise_has_the_ratio_that_is_asked_for(snr):
    clean = music(16_000)
    noise = change("noise", snr, clean) - clean
    assert 10 * np.log10((clean**2).mean() / (noise**2).mean()) == pytest.approx(snr, abs=0.1)
    assert abs(noise.mean()) < 0.02 * noise.std()
    same, other = change("noise", 20.0, clean) - clean, change("noise", 20.0, clean, key=8) - clean
    # One track has one noise, louder or softer; another has its own.
    assert np.corrcoef(noise, same)[0, 1] > 0.999
    assert abs(np.corrcoef(noise, other)[0, 1]) < 0.02


@pytest.mark.parametrize("semitones", [-4.0, -1.0, 2.0])
def test_pitch_moves_by_semitones(semitones):
    time = np.arange(48_000) / 16_000
    shifted = change(
        "pitch", semitones, np.asarray(0.5 * np.sin(2 * np.pi * 440 * time), np.float32)
    )
    spectrum = np.abs(np.fft.rfft(shifted * np.hanning(len(shifted)), 2**20))
    hz = np.fft.rfftfreq(2**20, 1 / 16_000)[spectrum.argmax()]
    assert 1200 * np.log2(hz / 440) == pytest.approx(100 * semitones, abs=5)


@pytest.mark.parametrize("rate", RATES)
def test_an_mp3_is_lossy_has_its_bit_rate_and_stands_where_the_track_stood(rate, monkeypatch):
    files = []

    class File(BytesIO):
        def __init__(self) -> None:
            super().__init__()
            files.append(self)

    monkeypatch.setattr(degrade, "BytesIO", File)
    rng, clean, decay = np.random.default_rng(1), np.zeros(3 * rate, np.float32), np.arange(1500)
    for start in rng.integers(0, len(clean) - len(decay), 30):
        burst = np.exp(-decay / 400) * np.sin(2 * np.pi * rng.uniform(100, 900) * decay / rate)
        clean[start : start + len(decay)] += 0.3 * burst
    errors = []
    for one in usual("mp3", rate):
        coded = change("mp3", one.level, clean, rate)
        assert len(coded) == len(clean)
        size = 2 ** (2 * len(clean)).bit_length()
        likeness = np.fft.irfft(np.conj(np.fft.rfft(clean, size)) * np.fft.rfft(coded, size))
        assert likeness.argmax() == 0, f"{one.words}: moved"
        # A frame or two more than the track is long, and the encoder's delay.
        assert files[-1].getbuffer().nbytes * 8 / 3000 == pytest.approx(one.level, rel=0.06)
        errors.append(float(((coded - clean) ** 2).mean()))
    assert min(errors) > 0
    if (
        rate < 32_000
        # At 8 kbit/s there is little left of anything; at 32 these low tones suffer no more than
        # at 64.
    ):
        assert errors[-1] > max(errors[:-1])


def test_a_lower_rate_leaves_nothing_above_half_of_it():
    clean = music(16_000)
    lowered = change("rate", 4000.0, clean)
    assert level_db(lowered, 16_000, 2200, 8000) < level_db(clean, 16_000, 2200, 8000) - 50
    assert level_db(lowered, 16_000, 0, 1800) == pytest.approx(
        level_db(clean, 16_000, 0, 1800), abs=0.2
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", RATES)
def test_silence_and_odd_lengths_stay_finite_and_as_long(kind, rate):
    for samples in (np.zeros(rate + 1, np.float32), music(rate, 0.7)[:-13]):
        for one in usual(kind, rate):
            changed = change(kind, one.level, samples, rate)
            assert changed.shape == samples.shape, one.words
            assert changed.dtype == np.float32
            assert np.isfinite(changed).all()


@pytest.mark.parametrize(
    ("kind", "level", "rate", "said"),
    [
        ("mp3", 13, 16_000, "an mp3 at 16000 Hz has one of 8, 16, 24"),
        ("mp3", 8, 44_100, "an mp3 at 44100 Hz has one of 32, 40"),
        ("mp3", 64, 10_000, "there is no mp3 at 10000 Hz"),
        ("rate", 16_000, 16_000, "less than 16000 Hz"),
        ("rate", 0, 16_000, "give 1000 Hz or more"),
        ("pitch", 0, 16_000, "but not 0"),
        ("pitch", 13, 16_000, "from -12 to 12"),
        ("noise", float("nan"), 16_000, "give a number"),
        ("noise", 1e9, 16_000, "from -60 to 120 dB"),
        ("nois", 10, 16_000, "did you mean 'noise'"),
    ],
)
def test_levels_that_there_are_not(kind, level, rate, said):
    with pytest.raises(InputError, match=said):
        Degradation(kind, level).check(rate)


def test_a_track_is_degraded_as_a_whole_and_read_in_pieces(tmp_path):
    samples = (music(16_000) * 20_000).astype("<i2")
    (tmp_path / "audio-00000.i16").write_bytes(samples.tobytes() + samples[:16_000].tobytes())
    store = PcmStore(tmp_path, np.array([[0, 0, 48_000], [0, 48_000, 16_000]]), 16_000)
    audio = DegradedAudio(store, np.array([1, 0]), [5, 6], Degradation("noise", 10.0))
    assert audio.frames.tolist() == [16_000, 48_000]
    whole = change("noise", 10.0, samples.astype(np.float32) / 32_767, key=6) * 32_767
    read = [audio.read(1, start, 10_000) for start in (0, 20_000, 40_000)]
    assert np.allclose(np.concatenate(read[:2]), whole[np.r_[0:10_000, 20_000:30_000]])
    # A piece behind the end goes on from the beginning, as in the clean store.
    assert np.allclose(read[2], whole[np.arange(40_000, 50_000) % 48_000])
    assert not np.allclose(audio.read(0, 0, 10_000), whole[:10_000])


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three methods on tones, two of them probed twice."""
    from bench.cli.main import main as command

    folder = tmp_path_factory.mktemp("robustness")
    make_tones(folder / "tones", kind="tags")
    shared = [
        "--dataset",
        folder / "tones/tracks.csv",
        "--home",
        folder / ".bench",
        "--results",
        folder / "results",
    ]
    shared += ["--train.steps", "3", *TINY]
    segments = ["--probe.train_on", "segments", "--probe.aggregation", "mean_probability"]
    for more in (
        ["--method", "simclr,supervised"],
        ["--method", "simclr", "--probe", "knn"],
        ["--method", "random_init", "--probe", "mlp", *segments, "--fraction", "0.5,1.0"],
    ):
        with pytest.raises(SystemExit) as ended:
            command(["run", *map(str, [*more, *shared])])
        assert not ended.value.code
    return folder


@pytest.fixture
def place(computed: Path, tmp_path: Path) -> Path:
    """A copy of them, in the folder that `main` runs in."""
    shutil.copytree(computed, tmp_path, dirs_exist_ok=True)
    return tmp_path


def rows(main: Main, *arguments: object) -> list[dict[str, Any]]:
    status, out, err = main("robustness", *arguments, "--json")
    assert status == 0, err
    return list(json.loads(out)["rows"])


def test_scores_on_degraded_tracks_are_those_of_the_stored_probe(main: Main, place: Path) -> None:
    """Where nothing is audible of the noise every probe gives its stored score.

    Where all is noise it does not.
    """
    found = rows(main, "--noise", "120,-60")
    runs = {row["run"] for row in found}
    whole = [
        result for result in results.read_all(place / "results")[0] if result.spec.fraction == 1
    ]
    assert len(whole) == 4
    assert runs == {results.file_stem(result.spec, result.cell) for result in whole}
    for result in whole:
        own = {row["audio"]: row for row in found if row["of"] == result.cell}
        assert list(own) == ["clean", "noise 120 dB", "noise -60 dB"]
        value = result.metrics["map_macro"].value
        assert own["clean"]["value"] == value
        assert own["noise 120 dB"]["value"] == pytest.approx(value, abs=1e-6), (
            result.spec.method.name
        )
        assert own["noise 120 dB"]["change"] == pytest.approx(0, abs=1e-6)
        noisy = own["noise -60 dB"]
        assert noisy["value"] != value
        assert noisy["change"] == pytest.approx(noisy["value"] - value, abs=1e-12)
        assert noisy["change_low"] <= noisy["change_high"]
    stored = results.read_all(place / "results", "robustness")[0]
    assert len(stored) == 12
    logits = Store(place / ".bench").folder("degraded_probed", "")
    assert not list(logits.glob("*/segments.npy"))


def test_what_is_stored_is_not_computed_again(main: Main, place: Path) -> None:
    first = rows(main, "simclr-resnet", "--rate", "4000", "--noise", "10")
    written = {path: path.stat().st_mtime_ns for path in (place / "results/robustness").iterdir()}
    shutil.rmtree(place / ".bench/pretrained")
    assert rows(main, "simclr-resnet", "--rate", "4000", "--noise", "10") == first
    assert {
        path: path.stat().st_mtime_ns for path in (place / "results/robustness").iterdir()
    } == written
    status, out, err = main("robustness", "simclr-resnet", "--rate", "4000,2000")
    assert (status, out) == (2, "")
    assert "is not there; `bench run` makes it" in err
    assert err.endswith("nothing was scored: 1 of 1 runs were left out\n")


def test_a_name_may_mean_several_runs(main: Main, place: Path) -> None:
    """Of one encoder that with most labels: random_init was probed with half and with all."""
    found = rows(main, "simclr", "random", "--noise", "10")
    fractions = [
        result.spec.fraction for result in results.read_all(Path("results"), "robustness")[0]
    ]
    assert len({row["run"] for row in found}) == 2
    assert set(fractions) == {1.0}


def test_what_keeps_no_encoder_is_left_out_and_the_others_are_scored(
    main: Main, place: Path
) -> None:
    tuned = ["--probe", "finetune", "--finetune.steps", "2", "--finetune.learning_rates", "[0.001]"]
    run = ["run", "--method", "random_init", "--dataset", "tones/tracks.csv", *tuned, *TINY]
    assert main(*run, "--finetune.batch_size", "4", "--finetune.diagnose_times", "1")[0] == 0
    status, out, err = main("robustness", "--noise", "10")
    assert status == 0
    assert out.count("noise 10 dB") == 4
    assert err.count("left out: random_init-resnet_small-tracks-f1") == 1
    assert "fine-tuned encoders are not kept" in err


def test_other_commands_do_not_take_them_for_cells(main: Main, place: Path) -> None:
    before = main("table")
    rows(main, "--pitch", "-2,2")
    assert main("table") == before
    path = next((place / "results/robustness").glob("*.json"))
    for end in (".json", ".npz"):
        shutil.copy(path.with_suffix(end), (place / "results/runs" / path.name).with_suffix(end))
    assert f"{Path('results/runs') / path.name} belongs into results/robustness" in main("table")[1]
    status, _, err = main("robustness", path)
    assert status == 2
    assert "is itself a score on degraded audio" in err


def test_a_probe_that_is_not_the_stored_one_is_not_used(main: Main, place: Path) -> None:
    for path in (place / ".bench/probed").glob("*/mean_embedding.npy"):
        np.save(path, np.load(path) + 1)
        seal(path.parent)  # whole, as other hardware would have made it, and not damaged
    status, _, err = main("robustness", "random_init", "--noise", "10")
    assert status == 2
    assert "the probe, fitted again, gives other logits than the stored ones (by 1)" in err
    assert [path.suffix for path in sorted(place.glob("results/robustness/*"))] == [
        ".json",
        ".npz",
    ], "clean alone"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--noise", "loud"], "--noise loud: give numbers with commas, or usual"),
        (["--mp3", "13"], "--mp3 13: an mp3 at 16000 Hz has one of"),
        (["nobody"], "no run 'nobody' in results/runs"),
        (["--results", "nowhere"], "no run with all labels in nowhere"),
    ],
)
def test_wrong_requests_are_one_line(
    main: Main, place: Path, arguments: list[str], said: str
) -> None:
    status, out, err = main("robustness", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"bench: {said}")
    assert err.count("\n") == 1


def test_the_figure_shows_what_is_stored(main: Main, place: Path) -> None:
    done = draw(Path("results"), Path("none"), kinds=["robustness"])
    assert done.skipped == [
        "robustness: no stored cell was scored on noisy, pitch-shifted or coded audio: "
        "`bench robustness`"
    ]
    rows(main, "simclr-resnet", "--noise", "20,10", "--pitch", "usual")
    rows(main, "supervised", "--noise", "20")

    def marks(out: str) -> dict[str, str]:
        found = draw(Path("results"), Path(out), kinds=["robustness"], formats=("svg",))
        assert not found.skipped
        (path,) = (path for path in found.files if path.suffix == ".svg" and "linear" in path.name)
        parts = path.read_text().split('<g id="robustness-')[1:]
        return {part.split('"')[0]: part.split("</g>\n   <g id")[0] for part in parts}

    before = marks("before")
    assert set(before) == {
        f"{kind}-{method}" for kind in ("noise", "pitch") for method in ("simclr", "supervised")
    }
    assert marks("again") == before
    path = next(path for path in Path("results/robustness").glob("simclr*.json")
                if json.loads(path.read_text())["protocol"]["audio"] | {"of": ""}
                == {"kind": "pitch", "level": 2.0, "unit": "semitones", "of": ""}
                and json.loads(path.read_text())["protocol"]["probe"] == "linear")  # fmt: skip
    content = json.loads(path.read_text())
    content["metrics"]["map_macro"]["value"] -= 0.01
    path.write_text(json.dumps({**content, "digest": ""}))
    after = marks("after")
    assert {name for name in before if before[name] != after[name]} == {"pitch-simclr"}
    path.write_text("{")
    damaged = draw(Path("results"), Path("damaged"), kinds=["robustness"], formats=("svg",))
    assert [line for line in damaged.skipped if "no whole JSON" in line], damaged
    (caption,) = (path for path in damaged.files if path.name.endswith("linear.caption.md"))
    assert "no whole JSON" in caption.read_text()


def test_changes_are_paired(place: Path, main: Main) -> None:
    rows(main, "simclr-resnet", "--noise", "0")
    stored = results.read_all(Path("results"), "robustness")[0]
    clean = next(result for result in stored if result.protocol["audio"]["kind"] == "clean")
    noisy = next(result for result in stored if result.protocol["audio"]["kind"] == "noise")
    row = changes(Path("results"), [clean, noisy], "map_macro")[1]
    spread = [
        results.read_values(results.path_of(Path("results"), one)).resampled["map_macro"]
        for one in (noisy, clean)
    ]
    low, high = np.nanquantile(spread[0] - spread[1], [0.025, 0.975])
    assert (row["change_low"], row["change_high"]) == (pytest.approx(low), pytest.approx(high))


def test_the_report_shows_them_and_names_what_is_damaged(main: Main, place: Path) -> None:
    found = rows(main, "simclr-resnet", "--noise", "10,0")
    for number, (change_, said) in enumerate(
        [
            (
                lambda content: content["protocol"].update(audio="loud"),
                "1 scores do not say what was done to the audio",
            ),
            (
                lambda content: content.update(schema_version=2),
                "is a result of schema 2; this version reads schema 3",
            ),
        ]
    ):
        path = next(
            path
            for path in sorted(Path("results/robustness").glob("*.json"))
            if json.loads(path.read_text())["protocol"]["audio"]["kind"] == "noise"
        )
        content = json.loads(path.read_text())
        (before,) = (
            row
            for row in found
            if row["audio"] == f"noise {content['protocol']['audio']['level']:g} dB"
        )
        page = Path(f"report-{number}-before")
        assert main("report", "--out", page)[0] == 0
        texts = {one.name: one.read_text() for one in (page / "runs").glob("*.html")}
        whole = [
            name for name, text in texts.items() if f'<th scope="row">{before["audio"]}<td>' in text
        ]
        assert len(whole) == 1
        assert f"{before['value']:.3f}" in texts[whole[0]]
        original = path.read_text()
        change_(content)
        path.write_text(json.dumps({**content, "digest": ""}))
        status, _, err = main("report", "--out", f"report-{number}")
        assert status == 0
        assert said in err
        assert before["audio"] not in (Path(f"report-{number}/runs") / whole[0]).read_text()
        path.write_text(original)
