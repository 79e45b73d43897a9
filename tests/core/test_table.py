"""Tables in the terminal."""


def test_a_narrow_terminal_keeps_every_number(monkeypatch, capsys):
    from bench.core import table

    monkeypatch.setattr(table, "_PIPE_WIDTH", 60)
    columns = ["method", "data set", "fraction", "mAP", "ROC-AUC"]
    table.show(
        table.Table(
            columns,
            [["vicreg", "midi[bold]band", "0.1", "0.396 [0.354, 0.404]", "0.708 [0.687, 0.728]"]],
        )
    )
    out = capsys.readouterr().out
    for text in (
        "vicreg",
        "midi[bold]band",
        "0.1",
        "0.396",
        "[0.354, 0.404]",
        "0.708",
        "[0.687, 0.728]",
    ):
        assert text in out
