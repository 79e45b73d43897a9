"""Jobs: how cells and stages are put into them, and that their names last."""

from bench.sweep.plan import Plan, make_plan
from bench.sweep.read import read_sweep
from tests.conftest import make_tones
from tests.sweeping import write_prepared, write_sweep


def test_stages_are_jobs_where_they_ask_for_other_machines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tones = make_tones(tmp_path / "tones")
    axes = 'methods = ["vicreg", "random_init"]\nfractions = [0.2, 0.5, 1.0]'

    def jobs(more: str) -> list[tuple[str, tuple[str, ...], int]]:
        file = write_sweep(tmp_path / "s.toml", tones, axes, more)
        file.write_text(
            file.read_text().replace("[resources.pretrain]", "[resources.pretrain]\ncpus = 2")
        )
        made = make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results").jobs
        assert [job.needs for job in made[1:]].count([made[0].name]) == 2, (
            "each chain begins when data are prepared"
        )
        return [(job.name.partition("-")[2], job.stages, len(job.cells)) for job in made[1:]]

    rest = [("", ("embed", "probe"), 3), ("", ("pretrain", "embed", "probe"), 3)]
    assert jobs("") == [("pretrain", ("pretrain",), 3), *rest]
    assert jobs('[site]\nstages = "together"') == [rest[1], rest[1]]
    chunks = [("1", ("probe",), 2), ("2", ("probe",), 1)]
    first, second = ("pretrain", ("pretrain",), 3), ("embed", ("embed",), 3)
    third = ("pretrain-embed", ("pretrain", "embed"), 3)
    assert jobs('[site]\nstages = "apart"\ncells_per_job = 2') == [
        first,
        second,
        *chunks,
        third,
        *chunks,
    ]


def test_a_job_keeps_its_name_when_nothing_but_probes_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    axes = 'methods = ["vicreg"]\nfractions = [0.2, 0.5, 1.0]'
    file = write_sweep(
        tmp_path / "s.toml", make_tones(tmp_path / "tones"), axes, "[site]\ncells_per_job = 2"
    )

    def made() -> Plan:
        return make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results")

    prepare, before = made().jobs
    write_prepared(tmp_path / ".bench", prepare.groups[0].removeprefix("prepare-"))
    for stage, key in zip(("pretrained", "embedded"), made().cells[0].keys, strict=False):
        (tmp_path / ".bench" / stage / key).mkdir(parents=True)
    assert [(job.name, job.stages) for job in made().jobs] == [(before.name, ("probe",))]


def test_very_many_short_groups_share_jobs_with_lasting_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tones = make_tones(tmp_path / "tones")
    file = write_sweep(
        tmp_path / "s.toml",
        tones,
        f'methods = ["random_init", "vicreg"]\nseeds = {list(range(200))}',
    )
    before = make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results").jobs
    assert before[0].kind == "prepare"
    assert 32 <= len(before[1:]) <= 36
    write_prepared(tmp_path / ".bench", before[0].groups[0].removeprefix("prepare-"))
    after = make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results").jobs
    assert [job.name for job in after] == [job.name for job in before[1:]]
    long = file.read_text().replace("steps = 6\n", "steps = 60\n", 1)
    file.write_text(long)
    assert (
        len(make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results").jobs) > 60
    )
