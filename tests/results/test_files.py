"""Results are read as Python's and numpy's own readers do; damaged files are named."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import bench
from bench import results
from bench.core.errors import InputError
from tests.synthetic_results import write_cells

RUNS = Path(str(bench.__file__)).resolve().parent.parent / "results/quick/runs"


Change = Callable[[bytes], bytes]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A results folder with one cell; its JSON."""
    path = sorted(RUNS.glob("vicreg-*.json"))[0]
    (tmp_path / "runs").mkdir()
    for file in (path, path.with_suffix(".npz")):
        (tmp_path / "runs" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "runs" / path.name


def test_results_are_what_slower_readers_find(stored: Path) -> None:
    content = json.loads(stored.read_text())
    ((result,), left_out) = results.read_all(stored.parent.parent)
    assert not left_out
    assert json.dumps(result.model_dump(mode="json")) == json.dumps(
        results.Result.model_validate(content).model_dump()
    )
    assert result.training == content["training"]
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
def test_a_damaged_result_is_named(stored: Path, change: Change, reason: str) -> None:
    text = stored.read_bytes()
    stored.write_bytes(change(text))
    assert stored.read_bytes() != text
    found, (line,) = results.read_all(stored.parent.parent)
    assert not found
    assert stored.name in line
    assert reason in line


def test_what_python_alone_writes_is_read(stored: Path) -> None:
    """A lone surrogate, as of a file name that is no UTF-8, and a number that is none."""
    content = json.loads(stored.read_text())
    content["data"]["notes"] = ["caf\udce9.csv", float("nan")]
    stored.write_text(json.dumps({**content, "digest": ""}))
    assert results.read(stored).data["notes"][0] == "caf\udce9.csv"


def test_damaged_values_are_an_error_or_whole(stored: Path) -> None:
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
        for (
            name,
            column,
        ) in before.resampled.items():  # the bytes that no check covers hold no number
            if name in after.resampled:
                np.testing.assert_array_equal(after.resampled[name], column)
    assert refused > 250


def test_a_result_is_one_unit(tmp_path: Path) -> None:
    """Another cell's arrays, another cell's JSON and changed texts are named and left out."""
    first, second = write_cells(tmp_path, methods=("simclr", "vicreg"), fractions=(1.0,))[:2]
    assert len(results.read_all(tmp_path)[0]) == 2
    content, arrays = first.read_bytes(), first.with_suffix(".npz").read_bytes()

    first.with_suffix(".npz").write_bytes(second.with_suffix(".npz").read_bytes())
    with pytest.raises(InputError, match=f"another cell, {second.stem.rpartition('-')[2]}"):
        results.read_values(first)
    first.with_suffix(".npz").write_bytes(arrays)
    for before, after in ((b"0.", b"1."), (b'"test_tracks": ', b'"test_tracks": 1'), (b"\n", b"")):
        first.write_bytes(content.replace(before, after))
        with pytest.raises(InputError, match="is not as it was written"):
            results.read(first)
    first.write_bytes(second.read_bytes())
    kept, left_out = results.read_all(tmp_path)
    assert [results.file_stem(result.spec, result.cell) for result in kept] == [second.stem]
    assert len(left_out) == 1
    assert "is a copy" in left_out[0]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[]", "3", "", "\x00", "{}"])
def test_foreign_json_takes_nothing_else_down(tmp_path: Path, text: str) -> None:
    paths = write_cells(tmp_path, methods=("simclr", "vicreg"), fractions=(1.0,))
    (tmp_path / "runs/foreign.json").write_text(text)
    kept, left_out = results.read_all(tmp_path)
    assert len(kept) == len(paths)
    assert len(left_out) == 1
    assert "foreign.json" in left_out[0]
