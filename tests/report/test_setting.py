"""Settings of stored cells."""

from bench.report.setting import settings
from bench.report.stock import read_stock
from bench.report.tables import score_tables
from tests.synthetic_results import write_cells


def test_settings_keep_probes_apart(tmp_path):
    write_cells(
        tmp_path,
        ["simclr", "supervised", "mfcc"],
        fractions=(1.0,),
        probes=("linear", "mlp"),
        resamples=20,
    )
    stock = read_stock(tmp_path)
    assert [setting.probe for setting in settings(stock.results)] == ["linear", "mlp"]
    first, second = score_tables(stock)
    assert "probe linear" in first.title
    assert "probe mlp" in second.title
    assert {row[0] for row in first.rows} == {"simclr", "supervised", "mfcc"}
