"""What is written for stored results: runs, their parents, and later results."""

import json
import shutil
from collections import Counter

from bench import results
from tests.synthetic_results import write_cells
from tests.tracking.stores import everything, of_kind, shown


def test_results_of_no_sweep_are_runs_below_their_pretraining(main, store, tmp_path):
    paths = write_cells(tmp_path / "results", methods=("simclr", "supervised"), seeds=2)
    (tmp_path / "results/runs/damaged.json").write_text("{")
    (tmp_path / "results/runs/older.json").write_text('{"schema_version": 2}')
    status, out, err = main("track", "sync")
    assert status == 0, err
    assert "pretext-bench: 12 cells in MLflow (12 done); 20 runs new, 0 changed" in out
    assert "damaged.json is no whole JSON" in err
    assert "older.json is a result of schema 2" in err
    before = everything(store)
    (name, runs), = shown(store).items()  # fmt: skip
    cells, above = of_kind(runs), {run.info.run_id: run for run in of_kind(runs, "pretraining")}
    assert (name, len(cells), len(above)) == ("pretext-bench", 12, 2 + 6)
    children = Counter(above[run.data.tags["mlflow.parentRunId"]].info.run_name for run in cells)
    encoder = results.read(paths[0]).spec.encoder.name
    assert children[f"simclr {encoder} s0"] == 3
    assert children[f"supervised {encoder} s1 f0.1 d1"] == 1
    for path in paths:
        result = results.read(path)
        (run,) = (run for run in cells if run.data.tags["cell"] == result.cell)
        score, parent = result.metrics["map_macro"], above[run.data.tags["mlflow.parentRunId"]]
        assert run.data.metrics["map_macro"] == score.value
        assert (run.data.metrics["map_macro_low"], run.data.metrics["map_macro_high"]) == (
            score.low,
            score.high,
        )
        assert (
            run.data.params["train.steps"]
            == parent.data.params["train.steps"]
            == str(result.spec.train.steps)
        )
        assert run.data.params["fraction"] == str(result.spec.fraction)
        assert not any(name.startswith("curve") for name in run.data.metrics)
        info, _, _, history, files = before[run.info.run_id]
        assert (info[0], files, len(history["map_macro"])) == ("FINISHED", [path.name], 1)
        _, _, _, history, _ = before[parent.info.run_id]
        assert len(history["curve_loss"]) == len(result.training["curve"])
        assert parent.data.metrics["seconds_pretrain"] in {
            results.read(one).seconds["pretrain"] for one in paths
        }
        assert "seconds_pretrain" not in run.data.metrics
    assert "12 cells in MLflow (12 done); 0 runs new, 0 changed" in main("track", "sync")[1]
    assert everything(store) == before


def test_a_result_made_anew_has_a_run_of_its_own(main, store, tmp_path):
    (path,) = write_cells(tmp_path / "results", methods=("simclr",), fractions=(1.0,))
    assert main("track", "sync")[0] == 0
    ((first,),) = (of_kind(runs) for runs in shown(store).values())
    content = json.loads(path.read_text())
    old, new = content["cell"], "0123456789abcdef"
    content |= {"cell": new, "created": "2090-01-01T00:00:00+00:00"}
    content["metrics"]["map_macro"]["value"] = 0.25
    path.with_name(path.name.replace(old, new)).write_text(json.dumps({**content, "digest": ""}))
    shutil.copy(path.with_suffix(".npz"), path.with_name(path.stem.replace(old, new) + ".npz"))
    assert "1 runs new, 1 changed" in main("track", "sync")[1]
    (runs,) = shown(store).values()
    assert len(of_kind(runs, "pretraining")) == 1
    found = {run.data.tags["cell"]: run for run in of_kind(runs)}
    assert found[old].info.run_id == first.info.run_id
    assert found[old].data.metrics == first.data.metrics
    assert found[old].data.tags["superseded_by"] == found[new].info.run_id
    assert found[new].data.metrics["map_macro"] == 0.25
    assert "superseded_by" not in found[new].data.tags
    assert "0 runs new, 0 changed" in main("track", "sync")[1]
