"""Estimates of what a sweep will cost, held against what it then took."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.core.store import Store
from bench.settings.specs import PlugIn
from bench.sweep.cost.costs import Estimate, duration
from bench.sweep.cost.estimate import estimate, free_on, left_specs, missing
from bench.sweep.cost.rates import Rate, stored_rates
from bench.sweep.cost.sums import completion
from bench.sweep.cost.work import DataSets, training_steps
from bench.sweep.plan import make_plan
from bench.sweep.read import read_sweep
from bench.sweep.spec import ResourcesSpec
from tests.conftest import make_tones
from tests.sweeping import Runner, write_sweep

AXES = 'methods = ["simclr", "random_init"]\nfractions = [0.5, 1.0]'
DISK = ("pretrained", "embedded", "probed")


def tree(folder: Path) -> list[str]:
    """Every name below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A sweep that was measured, run and then asked for with another seed.

    What was said each time.
    """
    folder = tmp_path_factory.mktemp("estimate")
    runner = Runner(folder / "run")
    file = write_sweep(folder / "small.toml", make_tones(folder / "tones", "tags"), AXES)
    before = json.loads(
        runner("sweep", file, "--dry-run", "--measure", "--device", "cpu", "--json")
    )
    left_behind = tree(runner.folder)
    runner("sweep", file, "--cluster", "inline", "--device", "cpu")
    return SimpleNamespace(
        runner=runner, file=file, before=before, left_behind=left_behind, folder=folder
    )


def test_measuring_leaves_nothing_and_says_where_it_ran(measured):
    assert measured.left_behind == []
    costs = measured.before["costs"]
    assert costs["sources"][0].startswith("measured here now on cpu (")
    assert not costs["unknown"]
    assert costs["known_jobs"] == costs["jobs"] == 3
    assert costs["seconds_by_stage"]["prepare"] > 0
    assert measured.before["estimate"].count("\n") >= 3
    assert measured.before["estimate"].startswith("time: ")


def test_what_was_measured_is_what_is_taken(measured):
    """On disk nearly to the byte; in time, on a machine that others share, within a factor."""
    found, costs = measured.runner, measured.before["costs"]
    for kind in DISK:
        made = sum(size(path) for path in (found.home / kind).iterdir())
        assert costs["disk_bytes"][kind] == pytest.approx(made, rel=0.2, abs=2500), kind
    assert costs["disk_bytes"]["prepared"] == pytest.approx(size(found.home / "prepared"), rel=0.1)
    assert costs["disk_bytes"]["results"] == pytest.approx(size(found.results / "runs"), rel=0.25)
    taken = dict.fromkeys(("pretrain", "embed", "probe"), 0.0)
    for kind, stage in zip(DISK, taken, strict=True):
        for path in (found.home / kind).glob("*/run.json"):
            taken[stage] += json.loads(path.read_text())["seconds"]
    assert taken["pretrain"] / 8 < costs["seconds_by_stage"]["pretrain"] < 8 * taken["pretrain"] + 1


def test_stored_runs_tell_the_same_work_again(measured):
    """Two more seeds cost twice what one did; their data are not prepared again."""
    found = measured.runner
    file = write_sweep(
        measured.folder / "more.toml",
        measured.folder / "tones/tracks.csv",
        f"{AXES}\nseeds = [0, 1, 2]",
    )
    there = tree(found.folder)
    said = json.loads(found("sweep", file, "--dry-run", "--json"))
    assert tree(found.folder) == there
    costs = said["costs"]
    assert costs["sources"] == [
        source for source in costs["sources"] if source.startswith("stored runs on cpu")
    ]
    assert not costs["unknown"]
    seconds = [
        json.loads(path.read_text())["seconds"] for path in found.home.glob("pretrained/*/run.json")
    ]
    assert costs["seconds_by_stage"]["pretrain"] == pytest.approx(2 * sum(seconds))
    for kind in DISK:
        made = sum(size(path) for path in (found.home / kind).iterdir())
        assert costs["disk_bytes"][kind] == pytest.approx(2 * made, rel=0.2, abs=5000), kind
    assert costs["disk_bytes"]["results"] == pytest.approx(
        2 * size(found.results / "runs"), rel=0.05
    )
    assert "prepared" not in costs["disk_bytes"]
    done = json.loads(found("sweep", measured.file, "--dry-run", "--json"))
    assert done["estimate"] == "nothing is left to compute"
    assert done["costs"]["jobs"] == 0


@pytest.fixture
def planned(measured, tmp_path):
    """Makes the plan of a sweep with a home that holds the prepared tones."""

    def call(axes: str, more: str = "", prepared: bool = True):
        file = write_sweep(tmp_path / "some.toml", measured.folder / "tones/tracks.csv", axes, more)
        home = measured.runner.home if prepared else tmp_path / "empty"
        return make_plan(read_sweep(str(file)), home, measured.runner.results), home

    return call


def test_epochs_are_counted_over_the_tracks_that_are_learnt_from(planned, measured):
    plan, home = planned('methods = ["simclr"]\nseeds = [7]', "[settings.views]\nsplits = 'all'")
    spec = plan.cells[0].cell.spec
    data = DataSets(Store(home))
    train = spec.train.model_copy(update={"epochs": 5.0, "batch_size": 8})
    # 36 tracks, 20 of them for training: 4 and 2 whole batches an epoch.
    assert training_steps(spec.model_copy(update={"train": train}), data) == 20
    views = spec.views.model_copy(update={"splits": "train"})
    assert training_steps(spec.model_copy(update={"train": train, "views": views}), data) == 10
    supervised = spec.model_copy(update={"train": train, "method": PlugIn(name="supervised")})
    assert training_steps(supervised.model_copy(update={"fraction": 1.0}), data) == 10
    assert training_steps(supervised.model_copy(update={"fraction": 0.5}), data) == 5
    assert training_steps(supervised.model_copy(update={"fraction": 17.0}), data) == 10
    assert training_steps(spec.model_copy(update={"method": PlugIn(name="random_init")}), data) == 0
    unknown = spec.model_copy(update={"train": train, "dataset": PlugIn(name="midiband")})
    unknown = unknown.model_copy(update={"pretrain_dataset": PlugIn(name="midiband")})
    assert training_steps(unknown, data) is None


def test_data_that_are_not_prepared_are_described_by_their_manifest(planned, measured):
    plan, home = planned('methods = ["simclr"]', prepared=False)
    data = DataSets(Store(home)).of(plan.cells[0].cell.spec)
    prepared = DataSets(Store(measured.runner.home)).of(plan.cells[0].cell.spec)
    assert data is not None
    assert prepared is not None
    assert (data.prepared, data.seconds) == (None, None)
    assert dict(data.tracks) == dict(prepared.tracks)
    assert data.bytes == pytest.approx(prepared.bytes, rel=0.01)
    assert data.segments(1.0) == prepared.segments(1.0) == 72
    assert not home.exists()


def test_a_disk_that_is_too_small_is_warned_of(planned, measured):
    plan, home = planned('methods = ["simclr"]\nseeds = [5]')
    results = measured.runner.results
    needed = estimate(plan, home, results, free={"home": 10**12})
    assert not needed.lacking
    assert "WARNING" not in needed.in_words()
    together = sum(needed.home.values()) + needed.results
    small = estimate(plan, home, results, free={"home": int(together) - 1000})
    assert small.lacking == {"home": pytest.approx(1000, abs=2)}
    assert "WARNING: home lacks 1.0 kB: this will not fit" in small.in_words()
    assert not small.as_json()["fits"]
    apart = estimate(plan, home, results, free={"home": int(together) - 1000, "results": 10})
    assert set(apart.lacking) == {"results"}
    assert "results lacks" in apart.in_words()


def test_what_is_free_is_that_of_folders_to_be_made(tmp_path):
    free = free_on(tmp_path / "not/there", tmp_path / "nor/this")
    assert set(free) == {"home"}
    assert free["home"] > 0
    assert not list(tmp_path.iterdir())
    elsewhere = Path("/dev/shm")
    if (
        sys.platform == "linux"
        and elsewhere.is_dir()
        and elsewhere.stat().st_dev != tmp_path.stat().st_dev
    ):
        assert set(free_on(tmp_path, elsewhere)) == {"home", "results"}


def test_hours_asked_for_bound_it_and_are_held_against_it(planned, measured):
    axes = 'methods = ["simclr"]\nseeds = [5, 6]'
    plan, home = planned(
        axes, "gpus = 2\ncpus = 4\nhours = 3"
    )  # of probes, the last table of the settings
    results = measured.runner.results
    costs = estimate(plan, home, results)
    jobs = [job for job in plan.jobs if not job.done]
    asked = {
        what: sum(job.resources.hours * getattr(job.resources, what) for job in jobs)
        for what in ("gpus", "cpus")
    }
    assert asked["gpus"] == 2 * 2 * 3
    assert costs.reserved == {"gpu_hours": asked["gpus"], "cpu_hours": asked["cpus"]}
    assert f"at most: {asked['gpus']:g} GPU-hours, {asked['cpus']:g} CPU-hours" in costs.in_words()
    assert costs.short == []
    rates = stored_rates(left_specs(plan), Store(home), results)
    rates.pretrain = {kind: Rate(3600.0, "a slow machine") for kind in rates.pretrain}
    slow = estimate(plan, home, results, rates=rates)
    assert slow.short == [job.name for job in jobs if "pretrain" in job.stages]
    assert "longer than the hours asked for" in slow.in_words()
    assert "a slow machine" in slow.in_words()


def test_processes_share_the_time_of_a_pretraining(planned, measured):
    plan, home = planned('methods = ["simclr"]\nseeds = [5]')
    (job,) = [job for job in plan.jobs if not job.done]
    alone = estimate(plan, home, measured.runner.results)
    job.resources = ResourcesSpec(nodes=2, tasks=2, cpus=2)
    four = estimate(plan, home, measured.runner.results)
    assert four.seconds["pretrain"] == pytest.approx(alone.seconds["pretrain"] / 4)
    assert "as if 4 processes shared it without loss" in four.in_words()
    assert four.reserved["cpu_hours"] == 1 * 2 * 2


def test_what_is_unknown_is_said_and_would_be_measured(planned, measured):
    plan, home = planned('methods = ["simclr", "vicreg"]\nseeds = [5]')
    results = measured.runner.results
    rates = stored_rates(left_specs(plan), Store(home), results)
    assert [spec.method.name for spec in missing(plan, rates, DataSets(Store(home)))] == ["vicreg"]
    costs = estimate(plan, home, results, rates=rates)
    assert (costs.known, costs.jobs) == (1, 2)
    assert "pretraining vicreg on resnet_small: no like run is stored (1 job)" in costs.in_words()
    other, _ = planned('methods = ["simclr"]\nseeds = [5]', "[settings.augment]\nname = 'none'")
    assert missing(other, rates, DataSets(Store(home)))


def test_jobs_end_when_those_before_them_and_their_turns_let_them():
    jobs = [
        ("prepare", [], 10.0),
        ("a", ["prepare"], 5.0),
        ("b", ["prepare"], 7.0),
        ("c", [], 4.0),
        ("d", ["b"], 1.0),
    ]
    assert completion(jobs, 1) == 27.0
    assert completion(jobs, 2) == 18.0
    assert completion(jobs, 9) == 18.0
    assert completion([("a", ["done before"], 2.0)], 3) == 2.0
    assert completion([], 3) == 0.0
    many: list[tuple[str, list[str], float]] = [(str(number), [], 1.0) for number in range(1000)]
    assert completion(many, 16) == 63.0


def test_lengths_of_time_are_said_in_the_unit_that_suits_them():
    assert [duration(one) for one in (0.04, 9.96, 59, 61, 7200, 86400 * 3)] == [
        "0.0 s", "10.0 s", "59 s", "1.0 min", "2.0 h", "3.0 days",
    ]  # fmt: skip
    assert Estimate().in_words() == "nothing is left to compute"


def test_what_cannot_be_measured_is_refused(measured):
    if not torch.cuda.is_available():
        wrong = measured.runner(
            "sweep", "quick", "--dry-run", "--measure", "--device", "cuda", status=2
        )
        assert "torch finds no GPU here" in wrong
    axes = 'methods = ["simclr"]\nseeds = [9]'
    file = write_sweep(measured.folder / "wrong.toml", measured.folder / "tones/tracks.csv", axes)
    file.write_text(file.read_text().replace("seconds = 1.0", "seconds = 0.4"))
    wrong = measured.runner("sweep", file, "--dry-run", "--measure", "--device", "cpu", status=2)
    assert "0.4 s and 64 mels leave no place after 4 stages" in wrong


def test_measuring_needs_a_dry_run(measured):
    assert "--measure belongs to --dry-run" in measured.runner(
        "sweep", measured.file, "--measure", status=2
    )
