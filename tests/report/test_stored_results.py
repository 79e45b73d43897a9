"""Result files of another form."""

import json

import pytest

from bench import results
from bench.core.errors import InputError


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
