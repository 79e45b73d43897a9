"""The whole report, read back with a parser: links, escaping, sizes, and whatever is stored."""

import json
import math
import tomllib
from collections.abc import Callable
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from bench.core.store import write_json
from bench.report.html.write import write_report
from tests.report.html.pages import NASTY, Page, report
from tests.synthetic_results import write_cells

ROOT = Path(__file__).resolve().parents[3]


def test_every_run_has_a_page_and_every_link_leads_somewhere(grid):
    folder, found = grid
    runs = sorted(path.stem for path in (folder / "results/runs").glob("*.npz"))
    assert sorted(Path(name).stem for name in found if name.startswith("runs/")) == runs
    assert len(runs) == 4 * 3 * 2 * 3
    linked = set()
    for page in found.values():
        assert len(page.ids) == len(set(page.ids)), page.path
        for attributes in page.all("a"):
            address = urlsplit(str(attributes["href"]))
            assert not address.scheme, address
            assert not address.netloc, address
            target = (
                (page.path.parent / unquote(address.path)).resolve()
                if address.path
                else page.path.resolve()
            )
            assert target.is_file(), (page.path, address)
            linked.add(target)
            if address.fragment and "=" not in address.fragment:
                assert address.fragment in Page(target).ids, (page.path, address)
    everything = {
        path.resolve()
        for path in (folder / "out").rglob("*")
        if path.suffix in (".html", ".csv", ".json")
    }
    assert everything <= linked


def test_nothing_is_fetched_from_anywhere(grid):
    for page in grid[1].values():
        for tag, attributes in page.elements:
            for name in ("src", "href", "action", "data", "poster", "srcset"):
                address = str(attributes.get(name) or "")
                assert not urlsplit(address).netloc, (page.path, tag, address)
            assert not any(name.startswith("on") or name == "style" for name in attributes), (
                page.path,
                tag,
            )
    sheet = (grid[0] / "out/assets/report.css").read_text()
    assert "url(" not in sheet
    assert "@import" not in sheet
    script = (grid[0] / "out/assets/report.js").read_text()
    assert not any(
        word in script for word in ("fetch(", "XMLHttpRequest", "import ", "innerHTML", "eval(")
    )


def test_one_number_changed_moves_one_score(grid, tmp_path):
    folder, found = grid
    copy = tmp_path / "results"
    (copy / "runs").mkdir(parents=True)
    for path in (folder / "results/runs").iterdir():
        (copy / "runs" / path.name).write_bytes(path.read_bytes())
    path = sorted((copy / "runs").glob("mfcc*f1-*.json"))[0]
    content = json.loads(path.read_text())
    content["metrics"]["map_macro"]["value"] = 0.98765
    write_json(path, {**content, "digest": ""})
    changed = report(copy, tmp_path / "out")
    differing = [name for name, page in changed.items() if page.text != found[name].text]
    assert f"runs/{path.stem}.html" in differing
    assert not any(
        name.startswith("runs/") for name in differing if name != f"runs/{path.stem}.html"
    )
    assert "0.988" in changed["index.html"].text


def test_names_are_escaped_everywhere(tmp_path):
    write_cells(
        tmp_path / "results",
        NASTY,
        ("<b>data</b>&'\"".replace("/", ""),),
        (0.1, 1.0),
        2,
        tags=NASTY * 3,
    )
    for path in (tmp_path / "results/runs").glob("*.json"):
        content = json.loads(path.read_text())
        content["training"]["warning"] = "</script><img src=x onerror=alert(1)>"
        content["data"]["notes"] = ["<iframe src='http://example.org'>"]
        content["protocol"]["aggregation"] = "{{ 7 * 7 }} </p>"
        content["training"]["curve"] = [
            {"step": 1, "<svg onload=1>": 2.0},
            {"step": 2, "<svg onload=1>": None},
        ]
        write_json(path, {**content, "digest": ""})
    found = report(tmp_path / "results", tmp_path / "out")
    assert len([name for name in found if name.startswith("runs/")]) == len(NASTY) * 3
    for name, page in found.items():
        assert len(page.all("script")) == 1, name
        assert not page.all("iframe"), name
        assert not page.all("img"), name
        assert all(
            set(one) <= {"class", "viewBox", "viewbox", "aria-hidden"} for one in page.all("svg")
        )
    text = found["index.html"].text
    assert "{{ 7 * 7 }} </p>" in text
    assert all(name.strip() in text for name in NASTY)
    names = {path.name for path in (tmp_path / "out").rglob("*")}
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        for name in names
    )


@pytest.mark.parametrize("resamples", [0, 1, 100])
def test_one_method_alone(tmp_path, resamples):
    write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (1.0,), 1, resamples=resamples)
    found = report(tmp_path / "results", tmp_path / "out")
    assert "1 run of 1 method" in found["index.html"].texts["h1"]
    assert any(
        "nothing to compare" in page.text
        for name, page in found.items()
        if name.startswith("comparisons/")
    )


def test_two_methods_without_resamples(tmp_path):
    write_cells(tmp_path / "results", ("vicreg", "simclr"), ("midiband",), (0.1,), 2, resamples=0)
    assert "comparisons.html" in report(tmp_path / "results", tmp_path / "out")


@pytest.mark.parametrize("spoilt", [False, True])
def test_no_results(tmp_path, spoilt):
    runs = tmp_path / "results" / "runs"
    runs.mkdir(parents=True)
    if spoilt:
        (runs / "x.json").write_text("{")
    found = report(tmp_path / "results", tmp_path / "out")
    assert "No runs" in found["index.html"].texts["h1"]
    assert ("runs/x.json" in found["index.html"].text) == spoilt


def test_the_same_results_give_the_same_bytes(tmp_path):
    write_cells(tmp_path / "results", ("simclr", "vicreg"), ("midiband", "gtzan"))
    contents = []
    for name in ("one", "two"):
        write_report(tmp_path / "results", tmp_path / name, permutations=100)
        folder = tmp_path / name
        contents.append(
            {
                path.relative_to(folder): path.read_bytes()
                for path in folder.rglob("*")
                if path.is_file()
            }
        )
    assert contents[0] == contents[1]


def test_many_runs_leave_the_json_out(tmp_path, monkeypatch):
    write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (0.1,), 3)
    assert report(tmp_path / "results", tmp_path / "out")
    assert len(list((tmp_path / "out/runs").glob("*.json"))) == 3
    monkeypatch.setattr("bench.report.html.write.MOST_BYTES", 10_000)
    found = report(tmp_path / "results", tmp_path / "small")
    assert not list((tmp_path / "small/runs").glob("*.json"))
    assert (
        "Left out, to keep the report below 0 MB: the JSON of each run, the grids"
        in found["index.html"].text
    )
    assert not any("json" in str(one["href"]) for page in found.values() for one in page.all("a"))


def test_every_template_and_asset_is_package_data():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "bench.report.html" in setup["packages"]
    folder = ROOT / "bench/report/html"
    named = {
        path
        for pattern in setup["package-data"]["bench.report.html"]
        for path in folder.glob(pattern)
    }
    assert named == {
        path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert (files("bench.report.html") / "assets/report.css").is_file()


def test_headings_and_tables_are_in_order(grid):
    check: Callable[[Page], None] = _check_order
    for page in grid[1].values():
        check(page)


def _check_order(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1, page.path
    assert levels.count(1) == 1, page.path
    assert all(after <= before + 1 for before, after in pairwise(levels)), page.path
    assert all("scope" in one for one in page.all("th")), page.path
    assert page.all("html", lang="en"), page.path


MALFORMED: list[tuple[tuple[str, ...], Any]] = [
    (("training", "curve"), "none"),
    (("training", "curve"), [1, {"step": "x"}, {"step": 3, "loss": [1]}]),
    (("training", "diagnostics"), {"step": 3}),
    (("training", "best"), [1, {"a": None}]),
    (("training",), {}),
    (("probe", "sweep"), [None, {"a": {"b": 1}}]),
    (("probe", "chosen"), "nothing"),
    (("per_tag",), {}),
    (("per_tag", "average_precision"), [0.5]),
    (("per_tag", "test_positives"), [-1.0] * 34),
    (("data", "tags"), [1, None]),
    (("data", "left_out"), None),
    (("settings",), {"method": {"deep": {"deeper": [1, {"x": math.nan}]}}}),
    (("code",), {}),
    (("seconds",), {}),
    (("protocol", "steps"), "many"),
]


def test_whatever_a_result_holds_it_is_shown_or_named(tmp_path):
    paths = write_cells(
        tmp_path / "results", ("simclr", "vicreg"), ("midiband",), (0.01, 0.02, 0.05, 0.1), 4
    )
    for path, (keys, value) in zip(paths, MALFORMED, strict=False):
        content = json.loads(path.read_text())
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        path.write_text(json.dumps({**content, "digest": ""}))
    made = write_report(tmp_path / "results", tmp_path / "out", permutations=50)
    assert made.runs + len(made.left_out) == len(paths) == 32
    assert {line.partition(": ")[2] for line in made.left_out} == {
        "data.tags holds something that is no name",
        "data.left_out is NoneType, not list",
        "protocol.steps is str, not int",
    }
    assert len(list((tmp_path / "out/runs").glob("*.html"))) == made.runs
