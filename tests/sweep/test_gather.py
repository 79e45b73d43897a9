"""What MLflow is shown of a sweep while its results are stored."""

from typing import Any

from bench.sweep import gather, status
from tests.conftest import make_tones
from tests.sweeping import Runner, write_sweep


def test_after_the_results_were_read(tmp_path, monkeypatch):
    """MLflow is shown what was stored while the others were read."""
    runner = Runner(tmp_path / "place")
    make_tones(runner.folder / "tones")
    file = write_sweep(
        runner.folder / "s.toml", runner.folder / "tones/tracks.csv", "methods = ['random_init']"
    )
    runner("sweep", file, "--cluster", "inline")
    away = (runner.results / "runs").rename(tmp_path / "away")

    def stored_meanwhile(*arguments: Any) -> status.Status:
        away.rename(runner.results / "runs")
        return status.read_status(*arguments)

    monkeypatch.setattr(gather, "read_status", stored_meanwhile)
    found = gather.gather(runner.home, runner.results, [str(file)])
    (cell,) = found.experiments[0].cells
    assert (cell.state, cell.result is None, found.active, found.left_out) == ("done", False, 0, [])
