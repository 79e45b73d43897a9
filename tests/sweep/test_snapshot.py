"""The frozen copy of the code that jobs run."""

import json

import pytest

from bench.core.errors import InputError
from bench.sweep import snapshot


def test_frozen_code_that_was_changed_is_refused(tmp_path, monkeypatch):
    import bench

    copy = snapshot.take(tmp_path)
    assert snapshot.take(tmp_path) == copy
    assert (copy / "methods/vicreg.py").is_file()
    origin = json.loads((copy / "origin.json").read_text())
    assert origin["digest"] == copy.name
    assert "torch" in origin["packages"]
    with pytest.raises(InputError, match="was to run the code in"):
        snapshot.check(copy)
    monkeypatch.setattr(bench, "__file__", str(copy / "bench/__init__.py"))
    assert snapshot.check(copy)["python"]
    with open(copy / "methods/vicreg.py", "a") as file:
        file.write("# edited\n")
    with pytest.raises(InputError, match="was changed after the launch"):
        snapshot.check(copy)
