"""What figures of all papers share: modes, our cells beside a paper's, captions and marks."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Literal

from bench.report.agreement import DEFINITIONS, SIGNS, Match
from bench.report.captions import left_out, protocol
from bench.report.reference import MEANING, Published
from bench.report.setting import Setting, fits, settings
from bench.report.stock import Stock
from bench.results import Result

Mode = Literal["published", "ours", "both"]
"""What a paper's figure shows: published numbers alone, ours alone, or both."""

_BEFORE = (
    "exhibit", "evaluated_on", "dataset", "split", "method", "published_as", "encoder_as",
    "pretrain_as", "probe_as", "label_fraction", "metric",
)  # fmt: skip
_COLUMNS = (
    *_BEFORE, "published", "tolerance", "sd", "certainty", "ours", "low", "high", "cells", "mark",
    "reasons", "source",
)  # fmt: skip


def main_setting(
    results: Sequence[Result], recipe: str, probe: str, *, strictly: bool = False
) -> Setting | None:
    """The setting of some cells that is nearest to a paper's: its recipe, its probe, most cells.

    Args:
        results: cells of one place.
        recipe: name of the paper's recipe.
        probe: kind of the paper's probe.
        strictly: whether a setting of another probe is refused.

    Returns:
        The setting; None where there is none.
    """

    def nearness(setting: Setting) -> tuple[bool, bool, int, Setting]:
        cells = sum(fits(result, setting) for result in results)
        return setting.recipe == recipe, setting.probe == probe, cells, setting

    candidates = [
        setting for setting in settings(results) if not strictly or setting.probe == probe
    ]
    return max(candidates, key=nearness) if candidates else None


def marks_csv(matches: Sequence[Match]) -> str:
    """Every published number beside ours, with its mark and the reasons, as CSV."""
    rows = []
    for match in matches:
        row, ours = match.published, match.ours
        numbers = (
            ("", "", "", "") if ours is None else (ours.value, ours.low, ours.high, ours.cells)
        )
        rows.append(
            [
                *(getattr(row, name) for name in _BEFORE),
                row.value,
                row.tolerance,
                "" if row.sd is None else row.sd,
                row.certainty,
                *numbers,
                match.mark,
                "; ".join(match.reasons),
                row.source,
            ]
        )
    return numbers_csv(rows, _COLUMNS)


def published_csv(rows: Sequence[Published]) -> str:
    """Published numbers as CSV, in the form of the file that they come from."""
    columns = list(Published.model_fields)
    return numbers_csv(
        (
            [("" if (value := getattr(row, name)) is None else value) for name in columns]
            for row in rows
        ),
        columns,
    )


def numbers_csv(rows: Iterable[Sequence[object]], columns: Sequence[str]) -> str:
    """The numbers of a figure as CSV, with the names of the columns in the first line."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def files(mode: Mode, rows: Sequence[Published], matches: Sequence[Match]) -> dict[str, str]:
    """The file of published numbers beside a figure.

    It has the marks where there is something to compare the numbers with. There is none where ours
    alone are drawn.
    """
    if mode == "ours":
        return {}
    return {"marks.csv": marks_csv(matches)} if matches else {"published.csv": published_csv(rows)}


def ends(
    stock: Stock, mode: Mode, rows: Sequence[Published], matches: Sequence[Match],
    used: Sequence[Result], notes: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """The last paragraphs of a caption: sources, marks, protocol, what is not drawn or left out.

    Args:
        stock: the stored cells.
        mode: what the figure shows.
        rows: its published numbers.
        matches: the same numbers beside ours.
        used: the cells that are drawn; one may occur several times.
        notes: what is not drawn, in sentences; empty ones are dropped.
    """
    paragraphs = [] if mode == "ours" else [sources_words(rows)]
    paragraphs += marks_words(matches) if matches else []
    if mode != "published":
        paragraphs += protocol(list({cell.cell: cell for cell in used}.values()))
        said = [note for note in dict.fromkeys(notes) if note]
        paragraphs += ["Not drawn: " + "; ".join(said) + "."] if said else []
        paragraphs += left_out(stock)
    return paragraphs


def marks_words(matches: Sequence[Match]) -> list[str]:
    """Paragraphs: what the marks mean, how many there are, and the reasons that are known."""
    counted = Counter(match.mark for match in matches)
    counts = ", ".join(f"{counted[mark]} {mark} ({SIGNS[mark]})" for mark in SIGNS)
    paragraphs = [
        DEFINITIONS,
        f"Of {len(matches)} published numbers: {counts}. One by one in the file of marks.",
    ]
    reasons = Counter(reason for match in matches for reason in match.reasons)
    if reasons:
        lines = [f"{reason} ({count})" for reason, count in reasons.most_common()]
        paragraphs.append("Known reasons: " + "; ".join(lines) + ".")
    return paragraphs


def sources_words(rows: Iterable[Published]) -> str:
    """A paragraph on where the published numbers stand and how sure they are."""
    rows = list(rows)
    sources = "; ".join(dict.fromkeys(row.source for row in rows))
    certainty = "; ".join(
        f"{kind}: {MEANING[kind]}" for kind in dict.fromkeys(row.certainty for row in rows)
    )
    tolerances = ", ".join(
        f"{tolerance:g}" for tolerance in sorted({row.tolerance for row in rows})
    )
    return f"Published numbers from {sources}. How sure: {certainty}; tolerance {tolerances}."
