"""Limited-data curves."""

from bench.report.figures import paper_icassp2024
from bench.report.figures.save import drawing_settings
from bench.report.stock import read_stock


def test_points_of_the_paper_that_we_lack_are_marked_as_missing(stored):
    """Ours has 10 and 100 % of the labels; the paper's 1, 5 and 20 % are marked all the same."""
    with drawing_settings():
        figure = list(paper_icassp2024.draw(read_stock(stored), "both"))[1].figure
        axes = next(one for one in figure.axes if one.get_title() == "MTAT")
        signs = [(text.get_text(), float(text.get_position()[0])) for text in axes.texts]
    assert sorted(share for sign, share in signs if sign == "-") == sorted(
        [0.01, 0.05, 0.2] * 5 + [0.1, 1.0] * 2
    )
    assert len(signs) == 25
