"""Scores of single tags and their intervals."""

import math

import pytest

from bench.report.html import tags
from tests.report.html.pages import report
from tests.synthetic_results import write_cells


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
