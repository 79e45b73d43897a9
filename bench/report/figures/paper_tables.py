"""Tables of TUNe (ISMIR 2022) and of the VICReg thesis, with ours beside the published numbers."""

from collections.abc import Iterator, Sequence

from bench.core.errors import InputError
from bench.report.agreement import SIGNS, Match, agree
from bench.report.captions import left_out, protocol
from bench.report.figures.paper import Mode, marks_csv, marks_words, published_csv, sources_words
from bench.report.figures.picture_of_table import picture_of_table
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.names import metric_title
from bench.report.reference import Published, of_paper, read_papers
from bench.report.stock import Stock
from bench.report.table_formats import as_latex, as_markdown
from bench.report.tables import Number, ScoreTable, score_tables

_METRICS = ("roc_auc_macro", "map_macro")


def draw(stock: Stock, mode: Mode, paper: str) -> Iterator[Drawing]:
    """The numbers of a paper as tables, one for each exhibit: text, LaTeX and a picture.

    Ours alone are drawn as tables of scores of the paper's methods.

    Args:
        stock: the stored cells.
        mode: what the tables show.
        paper: short name of the paper.

    Raises:
        NotDrawnError: ours alone are asked for, and no stored cell fits.
    """
    rows = of_paper(paper)
    if mode == "ours":
        yield from _ours(stock, paper, rows)
        return
    for exhibit in dict.fromkeys(row.exhibit for row in rows):
        yield _exhibit(stock, mode, paper, [row for row in rows if row.exhibit == exhibit])


def _exhibit(stock: Stock, mode: Mode, paper: str, rows: Sequence[Published]) -> Drawing:
    """The table of one exhibit, with its caption."""
    matches = agree(rows, stock) if mode == "both" else []
    about = read_papers()[paper]
    where = ", ".join(
        dict.fromkeys(f"{row.evaluated_on}, split {row.split or 'not stated'}" for row in rows)
    )
    caption = [
        f"{about.authors}: {about.title} ({about.venue}), {rows[0].exhibit}; all labels of "
        f"{where}.",
        sources_words(rows),
    ]
    if mode == "both":
        used = list({cell.cell: cell for match in matches for cell in match.cells}.values())
        caption += [*marks_words(matches), *protocol(used), *left_out(stock)]
    columns, body = _table(rows, matches, ours=mode == "both")
    table = ScoreTable(f"{about.title}, {rows[0].exhibit}", columns, body, caption, words=3)
    name = f"{paper}-{rows[0].exhibit.lower().replace('. ', '-').replace(' ', '-')}-{mode}"
    numbers = (
        {"marks.csv": marks_csv(matches)}
        if mode == "both"
        else {"published.csv": published_csv(rows)}
    )
    files = {"tex": as_latex([table]), "md": as_markdown([table]), **numbers}
    return Drawing(name, picture_of_table(table), caption, files)


def _table(
    rows: Sequence[Published], matches: Sequence[Match], *, ours: bool
) -> tuple[list[str], list[list[str | Number]]]:
    """Columns and rows of an exhibit: each row has all metrics of one published method."""
    by_method: dict[tuple[str, ...], dict[str, Published]] = {}
    for row in rows:
        key = (row.published_as, row.pretrain_as, row.probe or row.probe_as)
        by_method.setdefault(key, {})[row.metric] = row
    columns = ["as published", "pretrained on", "probe"]
    for metric in _METRICS:
        columns += [metric_title(metric)] + (["ours"] if ours else [])
    body: list[list[str | Number]] = []
    for words, by_metric in by_method.items():
        line: list[str | Number] = list(words)
        for metric in _METRICS:
            number = by_metric.get(metric)
            line.append("-" if number is None else _published(number))
            if ours:
                match = next((match for match in matches if match.published is number), None)
                line.append(_beside(match))
        body.append(line)
    return columns, body


def _published(row: Published) -> str:
    """A number with as many digits as the work gives."""
    return f"{row.value:.{4 if row.tolerance < 0.0005 else 3}f}"


def _beside(match: Match | None) -> str:
    """Our score with its interval and the sign of its mark."""
    if match is None:
        return "-"
    if match.ours is None:
        return SIGNS[match.mark]
    interval = (
        f" [{match.ours.low:.3f}, {match.ours.high:.3f}]"
        if match.ours.low == match.ours.low
        else ""
    )
    return f"{match.ours.value:.3f}{interval} {SIGNS[match.mark]}"


def _ours(stock: Stock, paper: str, rows: Sequence[Published]) -> Iterator[Drawing]:
    """Tables of our scores with the paper's methods and encoders."""
    methods = {row.method for row in rows} - {""}
    encoders = {row.encoder for row in rows} - {""}
    fitting = [
        result
        for result in stock.results
        if result.spec.method.name in methods and result.spec.encoder.name in encoders
    ]
    if not fitting:
        wanted = f"{' or '.join(sorted(methods))} on {' or '.join(sorted(encoders))}"
        raise NotDrawnError(f"{paper}-ours: no stored cell of {wanted}")
    try:
        tables = score_tables(Stock(stock.folder, tuple(fitting), stock.left_out))
    except InputError as error:
        raise NotDrawnError(str(error)) from error
    for number, table in enumerate(tables, 1):
        files = {"tex": as_latex([table]), "md": as_markdown([table])}
        yield Drawing(
            f"{paper}-ours-{number}",
            picture_of_table(table),
            [table.title + ".", *table.notes],
            files,
        )
