"""Colours and markers of methods."""

from bench.report.figures.style import styles


def test_a_method_looks_the_same_in_every_figure():
    alone, together = styles(["vicreg"]), styles(["vicreg", "simclr", "new one", "another"])
    assert alone["vicreg"] == together["vicreg"]
    assert styles(["new one"])["new one"] == together["new one"]
    assert len({(style.colour, style.marker) for style in together.values()}) == 4
    variants = styles(["vicreg", "vicreg (train.steps=800)"])
    assert {(style.colour, style.marker) for style in variants.values()} == {
        (alone["vicreg"].colour, alone["vicreg"].marker)
    }
    assert len({style.line for style in variants.values()}) == 2
