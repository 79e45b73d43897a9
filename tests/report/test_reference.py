"""Published numbers: what the committed file says, and how it is checked."""

import csv
from pathlib import Path

import pytest

from bench.core.errors import InputError
from bench.report import reference

ROOT = Path(__file__).resolve().parents[2]


PUBLISHED = ROOT / "results" / "reference" / "published.csv"


# From the tables of the protocols: paper, exhibit, our method, evaluated on, probe, share of the
# labels, metric, value.
SAMPLE = [
    ("icassp2024", "Fig. 1", "simclr", "MTAT", "mlp", 1.0, "map_macro", 0.4303),
    ("icassp2024", "Fig. 1", "clustering", "Jamendo mood", "mlp", 1.0, "map_macro", 0.1145),
    ("icassp2024", "Fig. 1", "byol", "MSD100", "mlp", 1.0, "roc_auc_macro", 0.8370),
    ("icassp2024", "Fig. 1", "vicreg", "Jamendo instrument", "mlp", 1.0, "roc_auc_macro", 0.6750),
    ("icassp2024", "Fig. 2", "barlow_twins", "MTAT", "mlp", 0.01, "map_macro", 0.2414),
    ("icassp2024", "Fig. 2", "vicreg", "Jamendo top 50", "mlp", 0.2, "roc_auc_macro", 0.7723),
    ("icassp2024", "Fig. 2", "simclr", "MSD100", "mlp", 1.0, "map_macro", 0.2036),
    ("clmr", "labels", "simclr", "MTAT", "linear", 0.01, "map_macro", 0.3312),
    ("clmr", "labels", "supervised", "MSD50", "end_to_end", 0.5, "map_macro", 0.27),
    ("clmr", "README", "simclr", "MTAT", "mlp", 1.0, "roc_auc_macro", 0.893),
    ("clmr", "results", "random_init", "MTAT", "linear", 1.0, "map_macro", 0.1538),
    ("clmr", "transfer", "simclr", "MTAT", "linear", 1.0, "map_macro", 0.3204),
    ("tune", "Table S1", "simclr", "MTAT", "linear", 1.0, "roc_auc_macro", 0.895),
    ("vicreg-thesis", "abstract", "vicreg", "MTAT", "", 1.0, "map_macro", 0.3585),
]


@pytest.mark.parametrize("wanted", SAMPLE, ids=lambda row: "-".join(map(str, row[:6])))
def test_committed_numbers_are_those_of_the_works(wanted):
    paper, exhibit, method, evaluated_on, probe, share, metric, value = wanted
    found = [
        row.value
        for row in reference.of_paper(paper)
        if (row.exhibit, row.method, row.evaluated_on) == (exhibit, method, evaluated_on)
        and (row.probe, row.label_fraction, row.metric) == (probe, share, metric)
    ]
    assert value in found


def test_every_number_has_a_source_and_says_how_sure_it_is():
    rows = reference.read_published()
    assert len(rows) == 485
    assert {row.paper for row in rows} >= {"icassp2024", "clmr", "tune", "vicreg-thesis"}
    assert all(
        row.source and row.certainty in reference.MEANING and row.tolerance > 0 for row in rows
    )
    figure_1 = [row for row in reference.of_paper("icassp2024") if row.exhibit == "Fig. 1"]
    assert len(figure_1) == 50
    assert all(row.sd for row in figure_1)
    assert set(reference.read_papers()) == {"icassp2024", "clmr", "tune", "vicreg-thesis"}
    assert len({row.model_dump_json() for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("value", "1.7", "line 3, column value"),
        ("certainty", "sure", "line 3, column certainty"),
        ("label_fraction", "0", "line 3, column label_fraction"),
        ("source", "", "line 3, column source"),
        ("epochs", "many", "line 3, column epochs"),
    ],
)
def test_a_bad_row_is_named_with_its_column(tmp_path, column, value, said):
    with open(PUBLISHED, newline="") as file:
        rows = list(csv.DictReader(file))[:4]
    rows[1][column] = value
    path = tmp_path / "published.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(InputError, match=said) as error:
        reference.read_published(path)
    assert "\n" not in str(error.value)


def test_a_file_of_other_columns_or_none_is_refused(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text(PUBLISHED.read_text().replace("certainty", "verified", 1))
    with pytest.raises(InputError, match="column 'certainty' is missing"):
        reference.read_published(path)
    path.write_text("\n".join(PUBLISHED.read_text().splitlines()[:1]) + "\nonly,three,columns\n")
    with pytest.raises(InputError, match="line 2"):
        reference.read_published(path)
    with pytest.raises(InputError, match="cannot be read"):
        reference.read_published(tmp_path / "none.csv")
    with pytest.raises(InputError, match="did you mean 'icassp2024'"):
        reference.of_paper("icasp2024")
