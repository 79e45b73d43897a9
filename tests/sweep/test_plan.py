"""Plans: what is stored of a sweep, and what is checked before anything is launched."""

import pytest

from bench.core.errors import InputError
from bench.sweep.cells import cells
from bench.sweep.plan import make_plan
from bench.sweep.read import read_sweep, shipped
from tests.conftest import make_tones
from tests.sweeping import Runner, write_prepared, write_sweep


def test_settings_of_plug_ins_are_checked_before_anything_is_launched(tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text("[axes]\nmethods = ['vicreg']\n\n[settings.method]\nlayer = 2")
    said = Runner(tmp_path / "place")("sweep", file, "--dry-run", status=2)
    assert (
        "line 5, column 9: unknown setting of vicreg 'method.layer'; did you mean 'method.layers'?"
        in said
    )


def test_a_look_at_a_sweep_needs_no_data(tmp_path):
    """The published grids are seen from a fresh home; only a launch asks where their data lie."""
    for name in shipped():
        found = read_sweep(name)
        made = make_plan(found, tmp_path / ".bench", tmp_path / "results", dry=True)
        assert {one.cell.id for one in made.cells} == {one.id for one in cells(found)}
        assert made.jobs
    why = made.cells[-1].why
    assert "`bench data prepare" in why
    with pytest.raises(InputError, match="where it lies is not known here"):
        make_plan(found, tmp_path / ".bench", tmp_path / "results")


def test_cells_are_those_of_bench_run_and_jobs_share_pretraining(tmp_path, monkeypatch):
    from bench.core.store import Store
    from bench.settings.resolve import Request, resolve
    from bench.stages.keys import Keys

    monkeypatch.chdir(tmp_path)
    tones = make_tones(tmp_path / "tones")
    file = write_sweep(
        tmp_path / "s.toml", tones, 'methods = ["vicreg", "supervised"]\nfractions = [0.5, 1.0]'
    )
    made = make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results")
    assert [job.kind for job in made.jobs] == ["prepare", "cells", "cells", "cells"]
    assert all(job.needs == [made.jobs[0].name] for job in made.jobs[1:])
    store = Store(tmp_path / ".bench")
    write_prepared(tmp_path / ".bench", made.jobs[0].groups[0].removeprefix("prepare-"))
    settings = read_sweep(str(file)).spec.settings
    for one in make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results").cells:
        at = one.cell.spec
        request = Request(
            at.method.name, at.fraction, at.draw, at.seed, dataset=str(tones), overrides=settings
        )
        keys = Keys(resolve(request), store)
        assert one.keys == (keys.pretrain, keys.embed, keys.probe, keys.cell)
