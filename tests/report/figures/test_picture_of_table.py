"""Tables as pictures."""

from typing import Any

from bench.report.figures.picture_of_table import picture_of_table
from bench.report.figures.save import drawing_settings
from bench.report.figures.style import COLUMN, PAGE
from bench.report.tables import Number, ScoreTable


def test_a_wide_table_is_no_wider_than_a_page():
    rows: list[list[Any]] = [["x" * 90, "y" * 60, "z" * 50, Number(0.5, 0.4, 0.6, "best")]]
    with drawing_settings():
        figure = picture_of_table(ScoreTable("title", ["a", "b", "c", "d"], rows, words=3))
        assert COLUMN < figure.get_figwidth() <= PAGE
        assert "0.500 [0.400, 0.600]" in {text.get_text() for text in figure.axes[0].texts}
