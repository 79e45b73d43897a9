"""Marks of agreement between stored and published scores."""

import pytest

from bench.report import reference
from bench.report.agreement import agree
from bench.report.stock import read_stock
from tests.report.altered import set_score
from tests.synthetic_results import write_cells


def test_marks_follow_their_definition(tmp_path):
    """Reproduced up to the tolerance, within while the interval holds the number, off beyond it."""
    (path,) = write_cells(
        tmp_path, ["simclr"], ["magnatagatune"], [1.0], probes=["mlp"], resamples=50
    )
    row = next(
        row
        for row in reference.of_paper("icassp2024")
        if (row.exhibit, row.method, row.evaluated_on, row.metric)
        == ("Fig. 1", "simclr", "MTAT", "map_macro")
    )
    cases = [
        (row.value, 0.0, "reproduced"),
        (row.value + row.tolerance, 0.0, "reproduced"),
        (row.value + 1.5 * row.tolerance, 0.01, "within"),
        (row.value + 0.02, 0.021, "within"),
        (row.value + 0.02, 0.01, "off"),
        (row.value - 0.02, 0.01, "off"),
    ]
    for value, half, mark in cases:
        set_score(path, "map_macro", value, value - half, value + half)
        (match,) = agree([row], read_stock(tmp_path))
        assert match.mark == mark, (value, half)
        assert match.ours is not None
        assert match.ours.value == pytest.approx(value)
        reasons = " ".join(match.reasons)
        assert "encoder resnet_small in place of resnet" in reasons
        assert "fewer views" in reasons
        assert "pretrained on magnatagatune in place of Deezer in-house" in reasons


def test_what_is_missing_says_why(tmp_path):
    write_cells(
        tmp_path, ["simclr"], ["magnatagatune:pons"], [1.0], probes=["linear"], resamples=20
    )
    stock = read_stock(tmp_path)

    def why(paper: str, **wanted: object) -> str:
        rows = reference.of_paper(paper)
        row = next(
            row
            for row in rows
            if all(getattr(row, name) == value for name, value in wanted.items())
        )
        (match,) = agree([row], stock)
        assert match.mark == "missing"
        assert match.ours is None
        return match.reasons[0]

    assert why("icassp2024", evaluated_on="MTAT").startswith(
        "other split convention: stored on pons, not lee"
    )
    assert why("icassp2024", evaluated_on="MSD100").startswith("other data set")
    assert why("icassp2024", evaluated_on="Jamendo mood") == (
        "other data set: no cell on jamendo; stored: magnatagatune"
    )
    assert why(
        "clmr", exhibit="labels", dataset="magnatagatune", label_fraction=0.1, method="simclr"
    ) == ("other labels: stored at fraction 1, not 0.1")
    assert why("clmr", exhibit="README", probe="mlp").startswith("other probe: stored linear")
    assert why("clmr", published_as="CPC").startswith("no method here corresponds to CPC")
    assert why("clmr", exhibit="transfer", pretrain="fma").startswith(
        ("other pretraining data", "no method")
    )
    assert why("vicreg-thesis", method="vicreg").startswith("no probe here corresponds")


def test_an_exhibit_that_compares_encoders_takes_no_other_encoder(tmp_path):
    write_cells(tmp_path, ["simclr"], ["magnatagatune:pons"], [1.0], resamples=20)
    rows = [
        row
        for row in reference.of_paper("tune")
        if row.exhibit == "Table S1" and row.probe == "linear"
    ]
    matches = agree(rows, read_stock(tmp_path))
    assert {match.mark for match in matches} == {"missing"}
    assert {match.reasons[0].split(":")[0] for match in matches} == {"other encoder"}
    # Where an exhibit has but one encoder, another is compared, and named as a reason.
    rows = [
        row
        for row in reference.of_paper("clmr")
        if row.exhibit == "README" and row.probe == "linear"
    ]
    assert all(
        "encoder resnet_small in place of sample_cnn" in match.reasons
        for match in agree(rows, read_stock(tmp_path))
    )
