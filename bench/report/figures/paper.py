"""What the figures of all papers share: modes, which of our cells stand beside a paper's, and the list of marks."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Literal

from bench.report.agreement import DEFINITIONS, SIGNS, Match
from bench.report.reference import MEANING, Published
from bench.report.setting import Setting, fits, settings
from bench.results import Result

Mode = Literal["published", "ours", "both"]

_COLUMNS = (
    *(
        "exhibit",
        "evaluated_on",
        "dataset",
        "split",
        "method",
        "published_as",
        "encoder_as",
        "pretrain_as",
        "probe_as",
    ),
    *(
        "label_fraction",
        "metric",
        "published",
        "tolerance",
        "sd",
        "certainty",
        "ours",
        "low",
        "high",
        "cells",
        "mark",
    ),
    *("reasons", "source"),
)


def main_setting(
    results: Sequence[Result], recipe: str, probe: str, *, strictly: bool = False
) -> Setting | None:
    """The setting of some cells that is nearest to a paper's: its recipe, its probe, then most cells.

    Args:
        results: of one place.
        recipe: of the paper.
        probe: of the paper.
        strictly: whether another probe is refused.
    """
    found = [one for one in settings(results) if not strictly or one.probe == probe]
    if not found:
        return None

    def nearness(one: Setting) -> tuple[bool, bool, int, Setting]:
        return (
            one.recipe == recipe,
            one.probe == probe,
            sum(fits(result, one) for result in results),
            one,
        )

    return max(found, key=nearness)


def marks_csv(matches: Sequence[Match]) -> str:
    """Every published number beside ours, with its mark and the reasons, as CSV."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for match in matches:
        row, ours = match.published, match.ours
        numbers = (
            ("", "", "", "") if ours is None else (ours.value, ours.low, ours.high, ours.cells)
        )
        writer.writerow(
            [
                *(
                    row.exhibit,
                    row.evaluated_on,
                    row.dataset,
                    row.split,
                    row.method,
                    row.published_as,
                    row.encoder_as,
                ),
                *(
                    row.pretrain_as,
                    row.probe_as,
                    row.label_fraction,
                    row.metric,
                    row.value,
                    row.tolerance,
                ),
                *(
                    "" if row.sd is None else row.sd,
                    row.certainty,
                    *numbers,
                    match.mark,
                    "; ".join(match.reasons),
                ),
                row.source,
            ]
        )
    return text.getvalue()


def published_csv(rows: Sequence[Published]) -> str:
    """Published numbers as CSV, in the form of the file that they come from."""
    columns = list(Published.model_fields)
    return bands_csv(
        (
            [("" if (value := getattr(row, name)) is None else value) for name in columns]
            for row in rows
        ),
        columns,
    )


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
    tolerances = ", ".join(f"{one:g}" for one in sorted({row.tolerance for row in rows}))
    return f"Published numbers from {sources}. How sure: {certainty}; tolerance {tolerances}."


def bands_csv(rows: Iterable[Sequence[object]], columns: Sequence[str]) -> str:
    """The numbers of a figure as CSV."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
