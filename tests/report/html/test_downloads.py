"""Files for further use."""

import csv
import io

from bench import results


def test_scores_are_those_that_are_stored(grid):
    folder, found = grid
    listed = {
        row["cell"]: row
        for row in csv.DictReader(io.StringIO((folder / "out/runs.csv").read_text()))
    }
    for path in (folder / "results/runs").glob("vicreg*.json"):
        result = results.read(path)
        row, page = listed[result.cell], found[f"runs/{path.stem}.html"]
        for metric, one in result.metrics.items():
            assert float(row[metric]) == one.value
            assert float(row[f"{metric}_low"]) == one.low
        shown = f"{result.metrics['map_macro'].value:.3f}"
        assert any(shown in text for text in page.texts["td"])
