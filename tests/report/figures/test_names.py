"""Names of figures' files."""

from bench.report.figures.kinds import draw
from tests.report.figures.cells import TAGS
from tests.synthetic_results import write_cells


def test_data_sets_whose_names_differ_in_odd_letters_have_files_of_their_own(tmp_path):
    write_cells(tmp_path, ["simclr"], ["a & b", "a $ b", "a_b"], (1.0,), resamples=30, tags=TAGS)
    done = draw(tmp_path, tmp_path / "out", kinds=["tags", "training", "cost"], formats=("svg",))
    names = [path.name for path in done.files]
    assert len(set(names)) == len(names)
    for kind in ("tags", "training", "diagnostics", "cost"):
        assert sum(name.startswith(f"{kind}-a-b") and name.endswith(".svg") for name in names) == 3
