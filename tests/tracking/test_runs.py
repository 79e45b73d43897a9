"""The runs that MLflow is to show, as plain values."""

from dataclasses import replace

from bench import results
from bench.tracking import runs as mirrored
from bench.tracking.cells import TrackedCell
from tests.synthetic_results import write_cells


def test_a_pretraining_runs_while_its_cells_wait_for_it(tmp_path):
    result = results.read(write_cells(tmp_path, methods=("simclr",), fractions=(1.0,))[0])
    cells = [
        TrackedCell(str(number), "", "queued", "waits", spec=result.spec, pretraining="g")
        for number in range(2)
    ]
    ((waiting,), below) = mirrored.runs(cells)
    assert (waiting.state, waiting.why, len(below)) == ("queued", "2 of 2 cells queued: waits", 2)
    ((running,), below) = mirrored.runs(
        [cells[0], replace(cells[1], shared="g-pretrain since noon")]
    )
    assert (running.state, running.why) == ("running", "g-pretrain since noon")
    assert {run.state for run in below} == {"queued"}
    done = replace(cells[0], state="done", result=result, key=result.cell)
    ((both,), below) = mirrored.runs([done, cells[1]])
    assert (both.state, both.key, both.result) == ("queued", result.products["pretrain"], result)
    assert {run.parent for run in below} == {("g", both.key)}
