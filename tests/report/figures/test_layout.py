"""Axes that several figures share."""

from bench.report.figures.layout import logarithmic
from bench.report.figures.save import drawing_settings


def test_numbers_of_logarithmic_axes_are_plain():
    """No text is read as mathematics, so that matplotlib's own labels would print as formulas."""
    with drawing_settings():
        import matplotlib.pyplot as plt

        for numbers, some in (([0.0002, 0.7], {"0.001", "0.1"}), ([6.0, 40.0], {"10", "20"})):
            figure, axes = plt.subplots()
            axes.plot(numbers, numbers)
            logarithmic(axes.yaxis)
            figure.draw_without_rendering()
            labels = {label.get_text() for label in axes.get_yticklabels(which="both")}
            assert some <= labels
            assert not any("$" in label for label in labels)
            plt.close(figure)
