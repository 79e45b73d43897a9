"""From stored results to the printed table, the MLflow mirror and the doctor's findings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import results
from bench.cli import doctor
from bench.core.errors import InputError
from bench.report.summary import Cell, difference, read_cell, summarise
from bench.statistics.intervals import percentile
from tests.conftest import TINY, make_tones

RUN = ["run", "--steps", "3", *TINY]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two methods at two fractions and two draws."""
    folder = tmp_path_factory.mktemp("stored")
    tracks = make_tones(folder / "tones", kind="tags")
    command = [
        sys.executable,
        "-m",
        "bench",
        *RUN,
        "--method",
        "random_init,simclr",
        "--dataset",
        str(tracks),
    ]
    subprocess.run(
        [*command, "--fraction", "0.3,1.0", "--draws", "2"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "results"


def groups(folder: Path) -> dict[tuple[str, float], list[Cell]]:
    found: dict[tuple[str, float], list[Cell]] = {}
    for result in results.read_all(folder)[0]:
        found.setdefault((result.spec.method.name, result.spec.fraction), []).append(
            read_cell(folder, result)
        )
    return found


def test_results_hold_what_figures_and_tests_need(stored):
    for result in results.read_all(stored)[0]:
        values = results.read_values(results.path_of(stored, result))
        assert set(result.metrics) <= set(values.resampled)
        for name, metric in result.metrics.items():
            low, high = percentile(values.resampled[name], 0.95)
            assert metric.percentile == (pytest.approx(low), pytest.approx(high))
            assert 0 <= metric.low <= metric.value <= metric.high <= 1
        assert set(result.conventions) == {"mean_probability"}
        assert "map_macro, mean_probability" in values.resampled
        assert (
            len(values.influence["map_macro"]) == len(values.groups) == result.counts["test_tracks"]
        )
        assert len(result.per_tag["average_precision"]) == len(result.data["tags"]) == 4
        known = [value for value in result.per_tag["average_precision"] if value is not None]
        assert result.metrics["map_macro"].value == pytest.approx(np.mean(known))
        assert result.counts["scored_tags"] == len(known)
        assert set(result.seconds) == {"prepare", "pretrain", "embed", "probe"}
        assert result.versions["torch"]
        if result.spec.method.name == "simclr":
            assert result.training["curve"][-1]["step"] == 3
            assert result.training["diagnostics"][-1]["effective_rank"] >= 1


def test_the_same_resamples_serve_every_method(stored):
    """Micro scores of two methods on shared resamples move together.

    On resamples of their own they would not.
    """
    cells = groups(stored)
    first, second = cells["simclr", 1.0][0], cells["random_init", 1.0][0]
    found = difference([first], [second], "map_macro")
    assert found.difference == pytest.approx(
        first.result.metrics["map_macro"].value - second.result.metrics["map_macro"].value
    )
    assert found.low <= found.high
    same = difference([first], [first], "map_macro")
    assert (same.difference, same.low, same.high) == (0, 0, 0)


def test_table_has_a_row_a_group_and_the_difference_to_random_init(stored):
    cells = groups(stored)
    order = [("simclr", 0.3), ("simclr", 1.0), ("random_init", 1.0)]
    baselines = [cells["random_init", fraction] for _, fraction in order]
    table = summarise([cells[key] for key in order], baselines)
    assert [row[:4] for row in table.rows] == [
        ["simclr", "tracks", "0.3", "2"], ["simclr", "tracks", "1", "1"], ["random_init", "tracks", "1", "1"],
    ]  # fmt: skip
    assert "accuracy" not in table.columns
    mean = np.mean([cell.result.metrics["map_macro"].value for cell in cells["simclr", 0.3]])
    assert table.rows[0][4].startswith(f"{mean:.3f} [")
    assert table.rows[0][-1][0] in "+-"
    assert table.rows[2][-1] == ""
    assert "split csv" in table.notes[0]
    assert "50 resamples of tracks" in table.notes[0]
    alone = summarise([cells["simclr", 1.0]], [None])
    assert "mAP above random_init" not in alone.columns


def test_a_result_of_another_form_is_refused(tmp_path):
    path = tmp_path / "runs/x.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"schema_version": 1}))
    with pytest.raises(
        InputError, match=r"x\.json is a result of schema 1; this version reads schema 3"
    ):
        results.read(path)
    found, left_out = results.read_all(tmp_path)
    assert (found, len(left_out)) == ([], 1)


def test_mlflow_mirror_is_complete_and_made_once(stored, tmp_path):
    """A real MLflow, in a process of its own: parameters, metrics, curves and the file.

    Twice is once.
    """
    code = f"""
import sys
from pathlib import Path
from bench import results
from bench.tracking.mirror import mirror
stored = results.read_all(Path({str(stored)!r}))[0]
for _ in range(2):
    mirror(stored, Path({str(stored)!r}), Path(".bench"))
import json, mlflow
runs = mlflow.search_runs(experiment_names=["pretext-bench"], output_format="list")
cells = [run for run in runs if run.data.tags["kind"] == "cell"]
one = next(run for run in cells if run.data.params["method.name"] == "simclr")
client = mlflow.MlflowClient()
curve = client.get_metric_history(one.data.tags["mlflow.parentRunId"], "curve_nt_xent")
artifacts = [file.path for file in client.list_artifacts(one.info.run_id)]
print(json.dumps([len(cells), one.data.metrics, one.data.params, len(curve), artifacts]))
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, metrics, params, curve, artifacts = json.loads(done.stdout.splitlines()[-1])
    assert count == len(results.read_all(stored)[0]) == 6
    assert {"map_macro", "map_macro_low", "map_macro_high"} <= set(metrics)
    assert params["train.steps"] == "3"
    assert params["settings.method.temperature"]
    assert curve == 3
    assert artifacts[0].startswith("simclr-resnet_small-tracks")
    assert (tmp_path / "mlflow.db").exists()


def test_track_flag_mirrors(bench, tones, tmp_path):
    done = bench("run", "--method", "random_init", *TINY, "--dataset", tones, "--track")
    assert "mirrored 1 cells" in done.stderr
    assert (tmp_path / "mlflow.db").exists()


GOOD = dict.fromkeys(doctor._PACKAGES, "1.0") | {
    "torch": "2.14.1",
    "torchaudio": "2.11.0",
    "torchvision": "0.29.0",
    "symusic": "0.5.9",
}


@pytest.mark.parametrize(
    ("changed", "state", "expected"),
    [
        ({}, "ok", "torch 2.14.1"),
        ({"torch": "2.15.0"}, "bad", "newer CUDA"),
        ({"torch": "2.10.1"}, "bad", "older"),
        ({"torch": "2.13.0+cpu"}, "bad", "torchvision::nms"),
        ({"symusic": "0.6.0"}, "warn", "numpy 2.4"),
        ({"lightly": None}, "bad", "not installed: lightly"),
    ],
)
def test_doctor_knows_the_broken_mixes_and_what_mends_them(changed, state, expected):
    found = doctor.packages(lambda name: {**GOOD, **changed}.get(name))
    worst = found[-1]
    assert worst.state == state
    assert expected in worst.text
    assert bool(worst.mend) == (state != "ok")


def test_doctor_is_well_here(bench):
    done = bench("doctor")
    assert "bad" not in {line.split()[0] for line in done.stdout.splitlines()}
    assert {"python:", "packages:", "imports:", "gpu:", "slurm:", "home:", "results:"} <= set(
        done.stdout.split()
    )


def test_doctor_names_a_folder_that_cannot_be_written(bench, tmp_path):
    (tmp_path / "file").write_text("")
    done = bench("doctor", "--home", "file/inside", status=1)
    assert "--home or BENCH_HOME" in done.stdout
