"""The command `bench data leaks`: audio and artists that two data sets share."""

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.flags import Flag, Home, Plugins, begin
from bench.cli.prepared import named_dataset, prepared_dataset
from bench.core.errors import InputError

if TYPE_CHECKING:
    from bench.core.table import Table
    from bench.data.leaks import Leaks

_SHOWN = 50  # rows of leaks in the terminal


def leaks(
    first: str,
    second: str,
    *,
    out: Path | None = None,
    artists: Flag = False,
    sample_rate: int | None = None,
    recipe: str = "quick",
    home: Home = Path(".bench"),
    plugins: Plugins = None,
    json: Flag = False,
) -> None:
    """Find what of a pretraining set stands in another set: the same audio, or the same artists.

    Near-duplicates of audio are found, too. What stands in the other set's valid and test splits
    makes its scores too high: the file of --out names those tracks.

    Parameters
    ----------
    first
        The data set pretrained on: a name or a CSV.
    second
        The data set that is probed. Its settings are --dataset.split and so on, the first one's
        --pretrain-dataset.split.
    out
        Writes a file of the tracks to leave out, for `bench run --exclude FILE`, and a CSV of all
        leaks beside it.
    artists
        Leave out tracks by artists of the second set's valid and test splits as well.
    sample_rate
        At which both are prepared, in Hz; else that of the recipe's encoder.
    recipe
        Names the encoder.
    json
        Print one JSON document on standard output.
    """
    from bench.core.progress import say
    from bench.core.store import Store
    from bench.core.table import show
    from bench.data.leaks import AUDIO_KINDS, KINDS, exclusions, write_exclusions
    from bench.results import dataset_name
    from bench.stages.data_tools import held_out
    from bench.stages.data_tools import leaks as find

    begin(plugins)
    store = Store(home)
    _check_out(out)
    sides = named_dataset(first, "pretrain_dataset"), named_dataset(second)
    found = find(*(prepared_dataset(side, store, sample_rate, recipe) for side in sides))
    kinds, harmful = KINDS if artists else AUDIO_KINDS, held_out(found)
    if out is not None:
        write_exclusions(out, harmful, kinds)
        found.as_table().to_csv(out.with_suffix(".csv"), index=False)
    excluded = exclusions(harmful, kinds)
    if json:
        _print_json(found, excluded)
    else:
        show(_table(found, harmful, dataset_name(first), dataset_name(second)))
    if out is not None:
        say(f"{len(excluded)} tracks to leave out in {out}: bench run ... --exclude {out}")


def _check_out(out: Path | None) -> None:
    """Refuses a file that cannot be written, before hours of looking for leaks."""
    from bench.core.store import require_writable

    if out is None:
        return
    require_writable(out.parent)
    if out.suffix.lower() == ".csv":
        raise InputError(
            f"--out {out}: give a name such as leaks.json; the CSV of all leaks goes beside it"
        )


def _print_json(found: "Leaks", excluded: list[str]) -> None:
    document = {
        "leaks": json_module.loads(found.as_table().to_json(orient="records")),
        "excluded": excluded,
        "first": found.first,
        "second": found.second,
    }
    print(json_module.dumps(document, indent=1))


def _table(found: "Leaks", harmful: "Leaks", first: str, second: str) -> "Table":
    """The leaks of audio for the terminal, near-duplicates first, with counts of all kinds.

    Args:
        found: all leaks.
        harmful: those into the valid and test splits of the second set.
        first: name of the set that is pretrained on.
        second: name of the set that is probed.
    """
    from bench.core.table import Table
    from bench.data.leaks import AUDIO_KINDS

    audio = [row for row in found.rows if row.kind in AUDIO_KINDS]
    shown = sorted(audio, key=lambda row: row.kind != "near-duplicate")[:_SHOWN]
    rows = [
        [
            row.first,
            row.second,
            row.second_split,
            row.kind,
            _number(row.offset_seconds),
            _number(row.matched_seconds),
        ]
        for row in shown
    ]
    notes = []
    if len(audio) > _SHOWN:
        notes.append(f"{len(audio) - _SHOWN} more rows: --out FILE writes all of them to a CSV")
    for where, some in (("all", found), ("valid and test", harmful)):
        counts = ", ".join(f"{number} {kind}" for kind, number in some.counts().items())
        notes.append(f"tracks of {first} that stand in {where} of {second}: {counts}")
    if found.too_short:
        notes.append(f"{found.too_short} tracks are too short for near-duplicates")
    columns = [first, second, "split", "kind", "offset s", "matched s"]
    return Table(columns, rows, notes, words=4)


def _number(value: float) -> str:
    """A number with one digit after the point; "" for NaN."""
    return "" if value != value else f"{value:.1f}"
