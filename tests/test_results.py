"""Reading many results: the numbers of Python's and numpy's own readers; damaged files named."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

import bench
from bench import results
from bench.core.errors import InputError

RUNS = Path(bench.__file__).resolve().parent.parent / "results/quick/runs"


@pytest.fixture
def stored(tmp_path):
    """A results folder with one cell; its JSON."""
    path = sorted(RUNS.glob("vicreg-*.json"))[0]
    (tmp_path / "runs").mkdir()
    for file in (path, path.with_suffix(".npz")):
        (tmp_path / "runs" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "runs" / path.name


def test_results_are_what_slower_readers_find(stored):
    content = json.loads(stored.read_text())
    ((found,), left_out) = results.read_all(stored.parent.parent)
    assert not left_out
    assert json.dumps(found.model_dump(mode="json")) == json.dumps(
        results.Result.model_validate(content).model_dump()
    )
    assert found.training == content["training"]
    values = results.read_values(stored)
    with np.load(stored.with_suffix(".npz")) as arrays:
        assert len(arrays.files) == 1 + sum(
            map(len, (values.resampled, values.influence, values.jackknife))
        )
        for name in arrays.files:
            part, _, metric = name.partition(".")
            mine = getattr(values, part)[metric] if metric else values.groups
            np.testing.assert_array_equal(mine, arrays[name])
            assert mine.dtype == (np.float64 if metric else np.int32)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[:-30], "no whole JSON"),
        (lambda text: b"\xff\xfe" + text, "no whole JSON"),
        (
            lambda text: text.replace(b'"schema_version": 3', b'"schema_version": "3"'),
            "no result of this harness",
        ),
        (lambda text: text.replace(b'"schema_version": 3', b'"schema_version": 1'), "schema 1"),
        (lambda text: text.replace(b'"schema_version": 3,', b""), "no result of this harness"),
        (lambda text: text.replace(b'"convention"', b'"conventoin"', 1), "no whole result"),
        (lambda text: b"[1, 2]", "no result of this harness"),
        (lambda text: text.replace(b'"probe_seed": 0', b'"probe_seed": 1'), "is a copy"),
    ],
)
def test_a_damaged_result_is_named(stored, change, reason):
    text = stored.read_bytes()
    stored.write_bytes(change(text))
    assert stored.read_bytes() != text
    found, (line,) = results.read_all(stored.parent.parent)
    assert not found
    assert stored.name in line
    assert reason in line


def test_what_python_alone_writes_is_read(stored):
    """A lone surrogate, as of a file name that is no UTF-8, and a number that is none."""
    content = json.loads(stored.read_text())
    content["data"]["notes"] = ["caf\udce9.csv", float("nan")]
    stored.write_text(json.dumps(content))
    assert results.read(stored).data["notes"][0] == "caf\udce9.csv"


def test_damaged_values_are_an_error_or_whole(stored):
    path = stored.with_suffix(".npz")
    whole, chance = path.read_bytes(), random.Random(0)
    before = results.read_values(stored)
    refused = 0
    for number in range(300):
        damaged = bytearray(whole)
        if number % 3:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        else:
            del damaged[chance.randrange(len(damaged)) :]
        path.write_bytes(damaged)
        try:
            after = results.read_values(stored)
        except InputError as error:
            refused += path.name in str(error)
            continue
        for name, column in before.resampled.items():  # what no check covers holds no number
            if name in after.resampled:
                np.testing.assert_array_equal(after.resampled[name], column)
    assert refused > 250
