"""Published numbers: read from `results/reference/`, checked, and selected by paper."""

import csv
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

import bench.report
from bench.core.errors import InputError, unknown
from bench.settings.base import Spec

Certainty = Literal["printed", "measured", "computed", "by eye", "derived", "unsure"]

MEANING: dict[str, str] = {
    "printed": "stands as a number in the work, its code or its repository",
    "measured": "from the coordinates of a figure's vectors",
    "computed": "averaged here over the work's own per-tag numbers",
    "by eye": "read off a figure",
    "derived": "follows from a sentence of the work",
    "unsure": "printed, but what it belongs to is from memory",
}
"""Kind of certainty -> what it means, as notes of tables print it."""

_OPTIONAL = ("epochs", "sd")


class Published(Spec):
    """One published number.

    Attributes:
        paper: short name of the work, as `--paper` takes it.
        work: full name of the work.
        year: year of the work.
        exhibit: figure or table of the work that has the number.
        method: our name of the method; empty where no method here corresponds.
        published_as: the work's name of the method.
        encoder: our name of the encoder; empty where no encoder here corresponds.
        encoder_as: the work's name of the encoder.
        pretrain: our name of the pretraining data set; empty where none here corresponds.
        pretrain_as: the work's name of the pretraining data set.
        dataset: our name of the data set that was scored; empty where none here corresponds.
        split: our name of its split; empty where the work does not say.
        evaluated_on: the work's name of data set and split.
        probe: our name of the probe, as `protocol.probe` of a result; empty where none here
            corresponds.
        probe_as: the work's name of the probe.
        label_fraction: fraction of the labels, above 0 and at most 1.
        labels: how labelled subsets were drawn below a fraction of 1.
        epochs: epochs of pretraining; None where that is not known.
        metric: name of the metric.
        value: the number, as a fraction.
        tolerance: how far the number that the work had may lie from `value`: half a unit of the
            last digit printed, 0.0005 for coordinates of the ICASSP poster (their extraction's
            error), 0.005 for what was read by eye and 0.003 for what was derived.
        sd: standard deviation over the work's bootstrap resamples; None where it is not known.
        certainty: how the number was obtained (see `MEANING`).
        source: where the number stands.
    """

    paper: str = Field(min_length=1)
    work: str = Field(min_length=1)
    year: int = Field(ge=1990, le=2100)
    exhibit: str = Field(min_length=1)
    method: str
    published_as: str = Field(min_length=1)
    encoder: str
    encoder_as: str
    pretrain: str
    pretrain_as: str
    dataset: str
    split: str
    evaluated_on: str = Field(min_length=1)
    probe: str
    probe_as: str = Field(min_length=1)
    label_fraction: float = Field(gt=0, le=1)
    labels: Literal["", "uniform", "balanced"]
    epochs: int | None = Field(ge=1)
    metric: Literal["map_macro", "roc_auc_macro"]
    value: float = Field(ge=0, le=1)
    tolerance: float = Field(gt=0, le=0.1)
    sd: float | None = Field(gt=0, le=0.5)
    certainty: Certainty
    source: str = Field(min_length=1)

    @field_validator(*_OPTIONAL, mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value


class Paper(Spec):
    """What is known of how a paper's numbers were made.

    Attributes:
        title: title of the work.
        authors: names of the authors.
        venue: where the work appeared.
        recipe: our recipe of its protocol.
        views: number of tracks drawn in pretraining; None where that is not known.
        views_source: where that number comes from.
    """

    title: str
    authors: str
    venue: str
    recipe: str
    views: int | None = None
    views_source: str = ""


def folder() -> Path:
    """The folder of the published numbers.

    It lies inside the package in a wheel, and is `results/reference` in a checkout.
    """
    inside = Path(bench.report.__path__[0]).resolve() / "published"
    return inside if inside.is_dir() else inside.parents[2] / "results" / "reference"


def read_published(path: Path | None = None) -> tuple[Published, ...]:
    """All published numbers, in the order of the file.

    Args:
        path: another file of the same columns; the project's own where None.

    Raises:
        InputError: the file cannot be read, or a row is wrong (the message names row and column).
    """
    return _read(path or folder() / "published.csv")


@cache
def _read(path: Path) -> tuple[Published, ...]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, reader.fieldnames or [])
            rows = [_row(path, reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV in UTF-8 ({error})") from error
    if not rows:
        raise InputError(f"{path} has no rows")
    return tuple(rows)


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    needed = list(Published.model_fields)
    for column in needed:
        if column not in columns:
            raise InputError(f"{path}: column '{column}' is missing; expected: {', '.join(needed)}")
    for column in columns:
        if column not in needed:
            raise unknown(f"column of {path}", column, needed)


def _row(path: Path, line: int, row: dict[str | None, str | list[str] | None]) -> Published:
    if None in row or None in row.values():
        raise InputError(
            f"{path}, line {line}: {len(Published.model_fields)} columns are needed; found others"
        )
    try:
        return Published.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        column = str(first["loc"][0]) if first["loc"] else "row"
        raise InputError(
            f"{path}, line {line}, column {column}: {first['msg'].lower()}, "
            f"found {first['input']!r}"
        ) from error


@cache
def read_papers() -> dict[str, Paper]:
    """What is known of how each paper's numbers were made, by the paper's short name."""
    content = tomllib.loads((folder() / "papers.toml").read_text(encoding="utf-8"))
    return {name: Paper.model_validate(facts) for name, facts in content.items()}


def of_paper(name: str, rows: Sequence[Published] | None = None) -> list[Published]:
    """The numbers of one paper.

    Args:
        name: short name of the paper.
        rows: numbers to choose from; the project's own where None.

    Raises:
        InputError: no such paper.
    """
    rows = read_published() if rows is None else rows
    papers = list(dict.fromkeys(row.paper for row in rows))
    if name not in papers:
        raise unknown("paper", name, papers)
    return [row for row in rows if row.paper == name]
