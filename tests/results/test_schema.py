"""Numbers that a result cannot hold are refused, and the field is named."""

import json
import re
from pathlib import Path

import pytest

from bench import results
from bench.core.errors import InputError
from tests.synthetic_results import write_cells


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value": 7.5}, "metrics.map_macro.value"),
        ({"value": -0.1}, "metrics.map_macro.value"),
        ({"low": 0.9, "high": 0.1}, "the interval begins at 0.9, above its end 0.1"),
        ({"low": "many"}, "metrics.map_macro.low"),
    ],
)
def test_numbers_that_cannot_be_are_named(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    (path,) = write_cells(tmp_path, methods=("simclr",), fractions=(1.0,))[:1]
    content = json.loads(path.read_text())
    content["metrics"]["map_macro"] |= change
    path.write_text(json.dumps({**content, "digest": ""}))
    with pytest.raises(InputError, match=re.escape(said)):
        results.read(path)


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
