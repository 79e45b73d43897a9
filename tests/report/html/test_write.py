"""`bench report`: one folder of pages from stored results.

Read back with a parser, not by looking for strings.
"""

import csv
import io
import json
import math
import re
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from cyclopts import App

from bench import results
from bench.cli.flags import split_overrides
from bench.cli.report import report as report_command
from bench.core.errors import InputError
from bench.core.store import write_json
from bench.report.html import charts, collect, comparing, tags
from bench.report.html.strata import strata
from bench.report.html.write import write_report
from bench.settings.command import command_for
from bench.settings.resolve import Request, resolve
from bench.settings.specs import PlugIn, RunSpec
from tests.synthetic_results import spoil, write_cells

ROOT = Path(__file__).resolve().parents[3]
NASTY = ("<script>alert(1)<&amp;", "a\"b'c", "50%_\\textbf{x} #?&=", "ünï cødé ")
VOID = {"meta", "link", "input", "br", "path", "img", "hr", "option"}


class Page(HTMLParser):
    """What is in a page: elements with their attributes, the text of each kind of element, and ids."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.elements, self.texts, self.open = path, [], {}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        found = [attributes for name, attributes in self.elements if name == tag]
        return [
            one for one in found if all(one.get(name) == value for name, value in wanted.items())
        ]

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.elements if "id" in attributes]

    @property
    def text(self) -> str:
        return " ".join(text for found in self.texts.values() for text in found)


def pages(folder: Path) -> dict[str, Page]:
    return {
        path.relative_to(folder).as_posix(): Page(path) for path in sorted(folder.rglob("*.html"))
    }


def report(results_folder: Path, out: Path) -> dict[str, Page]:
    write_report(results_folder, out, permutations=200)
    return pages(out)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Page]]:
    """A report of several methods, data sets, splits and probes, and of files that are no results."""
    folder = tmp_path_factory.mktemp("grid")
    methods, datasets = (
        ("simclr", "vicreg", "mfcc", "random_init"),
        ("magnatagatune", "magnatagatune:pons", "gtzan"),
    )
    write_cells(folder / "results", methods, datasets, (0.1, 1.0), 2, 1, ("linear", "mlp"), 100)
    spoil(folder / "results")
    return folder, report(folder / "results", folder / "out")


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


def test_splits_never_share_a_group(grid):
    board = grid[1]["index.html"]
    bodies = [
        (one["data-dataset"], one["data-split"])
        for one in board.all("tbody")
        if "data-dataset" in one
    ]
    assert bodies == [
        ("gtzan", "fault-filtered"),
        ("magnatagatune", "lee"),
        ("magnatagatune", "pons"),
    ]
    rows = csv.DictReader(io.StringIO((grid[0] / "out/leaderboard.csv").read_text()))
    assert all(row["split"] and row["tracks_hash"] for row in rows)


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


def test_the_mean_of_a_configuration_and_its_mark(grid):
    folder, _ = grid
    cells = [
        results.read(path) for path in (folder / "results/runs").glob("simclr*gtzan-f0.1*.json")
    ]
    cells = [cell for cell in cells if cell.spec.probe.kind == "mlp"]
    rows = list(csv.DictReader(io.StringIO((folder / "out/leaderboard.csv").read_text())))
    wanted = {"method": "simclr", "dataset": "gtzan", "fraction": "0.1", "probe": "mlp"}
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    assert float(row["map_macro"]) == pytest.approx(
        np.mean([cell.metrics["map_macro"].value for cell in cells])
    )
    assert (row["runs"], row["map_macro_mark"]) == ("2", "best")
    assert float(row["map_macro_above_untrained"]) > 0


def test_one_number_changed_moves_one_score(grid, tmp_path):
    folder, found = grid
    copy = tmp_path / "results"
    (copy / "runs").mkdir(parents=True)
    for path in (folder / "results/runs").iterdir():
        (copy / "runs" / path.name).write_bytes(path.read_bytes())
    path = sorted((copy / "runs").glob("mfcc*f1-*.json"))[0]
    content = json.loads(path.read_text())
    content["metrics"]["map_macro"]["value"] = 0.98765
    write_json(path, content)
    changed = report(copy, tmp_path / "out")
    differing = [name for name, page in changed.items() if page.text != found[name].text]
    assert f"runs/{path.stem}.html" in differing
    assert not any(
        name.startswith("runs/") for name in differing if name != f"runs/{path.stem}.html"
    )
    assert "0.988" in changed["index.html"].text


def test_what_cannot_be_read_is_named(grid, tmp_path):
    text = grid[1]["index.html"].text
    for name, reason in (
        ("old.json", "schema 1"),
        ("cut.json", "no whole JSON"),
        ("foreign.json", "no result"),
    ):
        assert f"runs/{name}" in text
        assert reason in text
    write_cells(tmp_path / "results", ("simclr", "vicreg"), ("midiband",), (1.0,), 1)
    lost, damaged, lacking, sick = _spoiled_arrays(tmp_path / "results")
    made = write_report(tmp_path / "results", tmp_path / "out")
    assert made.runs == 2
    for path, reason in (
        (lost, "gone or damaged"),
        (damaged, "cannot be read"),
        (lacking, "protocol.labels"),
    ):
        (line,) = [line for line in made.left_out if path.name in line]
        assert reason in line
    assert any(sick.name in line for line in made.left_out)


def _spoiled_arrays(folder: Path) -> list[Path]:
    """Results without arrays, with damaged ones, without a part of the protocol, and with a number that is none."""
    paths = write_cells(
        folder, ("byol", "mfcc", "clustering", "supervised"), ("midiband",), (0.1,), 1
    )
    paths[0].with_suffix(".npz").unlink()
    whole = paths[1].with_suffix(".npz").read_bytes()
    paths[1].with_suffix(".npz").write_bytes(whole[:200] + b"\0" * 500 + whole[700:])
    content = json.loads(paths[2].read_text())
    del content["protocol"]["labels"]
    write_json(paths[2], content)
    content = json.loads(paths[3].read_text())
    content["metrics"]["map_macro"]["value"] = math.nan
    paths[3].write_text(json.dumps(content))
    return paths


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
        write_json(path, content)
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


def test_other_scorings_have_a_page_and_no_place_on_the_board(tmp_path):
    (path,) = write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (1.0,), 1)
    result, values = results.read(path), results.read_values(path)
    by_group = result.spec.score.model_copy(update={"by": "group"})
    other = result.model_copy(
        update={"cell": "f" * 16, "spec": result.spec.model_copy(update={"score": by_group})}
    )
    results.write(tmp_path / "results", other, values)
    found = report(tmp_path / "results", tmp_path / "out")
    (mine,) = [page for name, page in found.items() if "ffff" in name]
    assert "another scoring" in mine.text
    assert not any("ffff" in str(one["href"]) for one in found["index.html"].all("a"))
    assert any("ffff" in str(one["href"]) for one in found["runs.html"].all("a"))


def test_settings_that_differ_are_said_and_compared(tmp_path):
    for path in write_cells(tmp_path / "results", ("simclr",), ("midiband",), (1.0,), 1):
        result, values = results.read(path), results.read_values(path)
    train = result.spec.train.model_copy(update={"steps": 800})
    other = result.model_copy(
        update={"cell": "e" * 16, "spec": result.spec.model_copy(update={"train": train})}
    )
    results.write(tmp_path / "results", other, values)
    report(tmp_path / "results", tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/leaderboard.csv").read_text())))
    assert sorted(row["variant"] for row in rows) == [
        f"train.steps={result.spec.train.steps}",
        "train.steps=800",
    ]
    pairs = list(csv.DictReader(io.StringIO((tmp_path / "out/comparisons.csv").read_text())))
    assert {pair["metric"] for pair in pairs} == set(comparing.METRICS)


def test_what_cannot_be_compared_does_not_keep_the_others_from_it(tmp_path):
    paths = write_cells(
        tmp_path / "results", ("simclr", "vicreg", "byol"), ("midiband",), (0.1,), 1
    )
    content = json.loads(paths[0].read_text())
    content["probe"]["subset"] = "another"
    write_json(paths[0], content)
    found = report(tmp_path / "results", tmp_path / "out")
    (page,) = [page for name, page in found.items() if name.startswith("comparisons/")]
    assert "labelled tracks" in page.text
    pairs = list(csv.DictReader(io.StringIO((tmp_path / "out/comparisons.csv").read_text())))
    assert {(pair["first"], pair["second"]) for pair in pairs} in (
        {("vicreg", "byol")},
        {("byol", "vicreg")},
    )


def test_a_folder_that_is_no_report_is_left_alone(tmp_path):
    write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (1.0,), 1)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"no report \(thesis.tex\)"):
        write_report(tmp_path / "results", mine)
    out = tmp_path / "out"
    write_report(tmp_path / "results", out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        write_report(tmp_path / "results", out)
    (out / "notes.txt").unlink()
    (out / "runs" / "stale.html").write_text("of an earlier report")
    write_report(tmp_path / "results", out)
    assert not (out / "runs" / "stale.html").exists()
    for wrong in (tmp_path / "results", tmp_path, mine / "thesis.tex"):
        with pytest.raises(InputError):
            write_report(tmp_path / "results", wrong)
    with pytest.raises(InputError, match="no results folder"):
        write_report(tmp_path / "nowhere", out)
    assert {path.name for path in tmp_path.iterdir()} == {"results", "mine", "out"}


def test_a_report_that_fails_leaves_the_earlier_one(tmp_path, monkeypatch):
    write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (1.0,), 1)
    out = tmp_path / "out"
    write_report(tmp_path / "results", out)
    before = (out / "index.html").read_bytes()
    write, calls = Path.write_bytes, []

    def full(path: Path, content: bytes) -> int:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="no space left"):
        write_report(tmp_path / "results", out)
    assert (out / "index.html").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"results", "out"}


def test_the_command(tmp_path, capsys):
    write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (1.0,), 1)
    spoil(tmp_path / "results")
    app = App()
    app.command(report_command)
    with pytest.raises(SystemExit, match="0"):
        app(["report", "--out", str(tmp_path / "out"), "--results", str(tmp_path / "results")])
    out, err = capsys.readouterr()
    assert "index.html: 1 runs" in out
    assert "3 files left out" in out
    assert err.count("left out: runs/") == 3


# The command that makes a run again.


def specs() -> list[RunSpec]:
    """Specs of many kinds, resolved as the command line resolves them."""

    def of(
        method: str, share: float = 1.0, draw: int = 0, seed: int = 0, probe: int = 0, **more: Any
    ) -> RunSpec:
        return resolve(Request(method, share, draw, seed, probe, **more))

    tracks = {"dataset": {"tracks": 60, "seconds": 4.0}}
    return [
        of("vicreg"),
        of("simclr", 0.1, 3, 7, 2),
        of("simclr", 259.0, 1),
        of("supervised", 0.05, 1, overrides=tracks),
        of("random_init", 0.01, overrides={"encoder": {"seconds": 1.0}}),
        of(
            "mfcc",
            overrides={
                **tracks,
                "probe": {"kind": "mlp", "hidden": 256, "learning_rates": [1e-4, 3e-3]},
            },
        ),
        of(
            "byol",
            overrides={"method": {"momentum": 0.5}, "train": {"steps": 77, "betas": [0.8, 0.9]}},
        ),
        of("vicreg", dataset="my data/tracks $1.csv", overrides={"views": {"splits": "all"}}),
        of(
            "vicreg",
            dataset="gtzan",
            pretrain_dataset="midiband",
            overrides={"pretrain_dataset": {"tracks": 99}},
        ),
        of("simclr", overrides={"dataset": {"tracks": 60}, "pretrain_dataset": {"tracks": 61}}),
        of("simclr", pretrain_dataset="midiband", overrides={"dataset": {"tracks": 60}}),
        of(
            "simclr",
            dataset="magnatagatune",
            overrides={"dataset": {"split": "pons"}, "score": {"seed": 3}},
        ),
        of(
            "vicreg",
            encoder="resnet",
            overrides={"labels": {"scheme": "uniform", "seed": 5}, "score": {"by": "group"}},
        ),
        of(
            "vicreg",
            overrides={"augment": {"name": "clmr", "gain": {"probability": 0.25}}},
            scale=0.5,
        ),
        of(
            "simclr",
            0.2,
            overrides={"method": {"word": "true", "number": "1e3", "dashes": "--x", "empty": ""}},
        ),
    ]


def parsed(words: tuple[str, ...]) -> RunSpec:
    """The last cell of a command line, as `bench run` resolves it."""
    assert words[:2] == ("bench", "run")
    rest, overrides = split_overrides(words[2:])
    flags = dict(zip(rest[::2], rest[1::2], strict=True))
    if "--probe" in flags:
        overrides.setdefault("probe", {})["kind"] = flags.pop("--probe")
    draws, probe_seeds = int(flags.pop("--draws", 1)), int(flags.pop("--probe-seeds", 1))
    places = (float(flags.pop("--fraction")), draws - 1, int(flags.pop("--seed")), probe_seeds - 1)
    named = {name.removeprefix("--").replace("-", "_"): value for name, value in flags.items()}
    scale = float(named.pop("scale", 1))
    return resolve(Request(named.pop("method"), *places, overrides=overrides, scale=scale, **named))


@pytest.mark.parametrize("number", range(len(specs())))
def test_the_command_of_a_run_resolves_to_its_spec(number):
    spec = specs()[number]
    command = command_for(spec)
    assert command.exact
    assert parsed(command.words) == spec
    assert len(command.words) < 30


def test_the_command_line_itself_reads_it_back(main, tones):
    data = PlugIn(name=str(tones))
    spec = specs()[1].model_copy(update={"dataset": data, "pretrain_dataset": data})
    status, out, err = main(*command_for(spec).words[1:], "--dry-run", "--json")
    assert status == 0, err
    assert RunSpec.model_validate(json.loads(out)["specs"][-1]) == spec


def test_a_run_of_an_unknown_recipe_has_every_setting():
    spec = specs()[1].model_copy(update={"recipe": "of_yesterday"})
    command = command_for(spec)
    assert not command.exact
    assert "every setting is given" in command.notes[0]
    _, overrides = split_overrides(command.words[2:])
    assert overrides["train"] == spec.train.model_dump(mode="json")
    with_subset = spec.model_copy(
        update={"labels": spec.labels.model_copy(update={"subset": "0" * 16})}
    )
    assert "--subset" in command_for(with_subset).words


# Numbers and drawings.


def test_the_interval_of_an_area_is_that_of_the_paper():
    # Hanley and McNeil 1982, the radiologist's example: 51 abnormal, 58 normal images, area 0.893,
    # error 0.032.
    error = tags.roc_auc_error(0.893, 51, 58) * 0.893 * (1 - 0.893)
    assert error == pytest.approx(0.032, abs=0.001)
    assert tags.precision_error(0.5, 100) == pytest.approx(1 / math.sqrt(25))


@pytest.mark.parametrize(
    ("value", "positives"), [(None, 5), (0.5, 0), (0.5, None), (1.0, 5), (0.0, 5)]
)
def test_a_tag_without_an_interval(value, positives):
    assert math.isnan(tags.precision_error(value, positives))
    assert math.isnan(tags.roc_auc_error(value, positives, 100))


def test_tags_without_a_score_are_shown(tmp_path):
    write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (1.0,), 1, unknown_tags=5)
    found = report(tmp_path / "results", tmp_path / "out")
    (page,) = [page for name, page in found.items() if name.startswith("runs/")]
    assert sum(text.startswith("tag ") for text in page.texts["th"]) == 34


@pytest.mark.parametrize(
    "values",
    [[], [1.0], [2.0, 2.0], [math.nan, math.inf], [1e-9, 1e9], [-1.0, 3.0], list(range(5000))],
)
def test_curves_stay_within_their_frame(values):
    drawn = charts.curve("loss", list(enumerate(values, 1)))
    assert drawn.words
    places = [
        int(number)
        for path in drawn.picture.split(' d="')[2:3]
        for number in _numbers(path.partition('"')[0])
    ]
    x, y = np.cumsum(places[0::2]), np.cumsum(places[1::2])
    assert all(0 <= value <= 300 for value in x)
    assert all(10 <= value <= 110 for value in y)
    assert len(drawn.picture) < 1500


def _numbers(path: str) -> list[str]:
    return re.findall(r"-?\d+", path.replace("h3", " 3 0"))


def test_intervals_outside_their_scale_stay_on_the_edge():
    on = charts.scale([0.2, 0.4])
    assert (on.low, on.high) == (pytest.approx(0.2), pytest.approx(0.4))
    assert charts.interval(0.9, -3.0, 7.0, on).count("M3 7h104") == 1
    assert charts.interval(None, None, None, on) == ""


def test_names_of_pages_are_safe_and_apart():
    assert collect.slug("a/b") != collect.slug("a?b")
    assert collect.slug("../../etc/passwd").startswith("_")
    assert collect.slug("simclr-f0.1-00ff") == "simclr-f0.1-00ff"


def test_ranks_take_one_split_of_a_data_set(tmp_path):
    datasets = ("magnatagatune", "magnatagatune:pons", "gtzan", "midiband")
    write_cells(tmp_path / "results", ("simclr", "vicreg", "byol"), datasets, (1.0,), 1)
    found = collect.collect(tmp_path / "results", lambda *_: None)
    every = [
        one for arena, runs in collect.arenas(found.runs).items() for one in strata(arena, runs)
    ]
    ((_, table),) = comparing.ranks(every, "map_macro")
    assert "over gtzan, split fault-filtered, magnatagatune, split lee, midiband" in table.notes[0]


def test_fewer_permutations_where_there_are_very_many_pairs(grid):
    found = collect.collect(grid[0] / "results", lambda *_: None)
    every = [
        one for arena, runs in collect.arenas(found.runs).items() for one in strata(arena, runs)
    ]
    assert comparing.permutations_for(every, 10_000) == 10_000
    assert comparing.permutations_for(every * 100_000, 10_000) == 1000


def test_many_runs_leave_the_json_out(tmp_path, monkeypatch):
    write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (0.1,), 3)
    assert (
        len(
            list(
                (report(tmp_path / "results", tmp_path / "out") and tmp_path / "out/runs").glob(
                    "*.json"
                )
            )
        )
        == 3
    )
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
        path.write_text(json.dumps(content))
    made = write_report(tmp_path / "results", tmp_path / "out", permutations=50)
    assert made.runs + len(made.left_out) == len(paths) == 32
    assert {line.partition(": ")[2] for line in made.left_out} == {
        "data.tags holds something that is no name",
        "data.left_out is NoneType, not list",
        "protocol.steps is str, not int",
    }
    assert len(list((tmp_path / "out/runs").glob("*.html"))) == made.runs
