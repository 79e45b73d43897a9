"""Scores stored logits anew, with other resamples or conventions; nothing is trained."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench import results
from bench.core.errors import InputError
from bench.core.progress import progress
from bench.core.store import Store
from bench.core.versions import code_version, library_versions, now
from bench.data.prepared import Prepared, open_prepared
from bench.settings.plug_ins import setting_error
from bench.settings.specs import ScoreSpec
from bench.stages.keys import cell_key
from bench.stages.score.stage import score_cell
from bench.stages.session import Place, Session


def rescore(
    folder: Path, store: Store, settings: dict[str, Any]
) -> Iterator[tuple[results.Result | None, str]]:
    """Scores the logits of every stored cell with other settings, and stores these results too.

    Args:
        folder: results folder.
        store: home, which holds the logits.
        settings: of `ScoreSpec`, in place of those of the cell.

    Yields:
        (result, "") for each cell, (None, reason) for each that is left out. Cells that were scored
        so already are passed over.

    Raises:
        InputError: an unknown setting or a value out of range.
    """
    try:
        ScoreSpec.model_validate(settings)
    except ValidationError as error:
        raise setting_error(error, prefix="score.") from error
    stored, left_out = results.read_all(folder)
    for line in left_out:
        yield None, line
    opened: dict[str, Prepared] = {}
    session = Session(Place(store, folder))
    known: set[str] = {result.cell for result in stored}
    stored = results.preferred(stored)
    with progress("rescore", "cells") as report:
        for number, old in enumerate(stored):
            result, why = _scored_anew(old, settings, session, opened, known)
            report(number + 1, len(stored), "")
            if result is not None or why:
                yield result, why


def _scored_anew(
    old: results.Result,
    settings: dict[str, Any],
    session: Session,
    opened: dict[str, Prepared],
    known: set[str],
) -> tuple[results.Result | None, str]:
    """Scores the logits of one cell anew and stores the result.

    Args:
        old: the stored result.
        settings: of `ScoreSpec`, in place of those of the cell.
        session: shares resamples between cells.
        opened: data sets that are open, by the key of their product; changed in place.
        known: keys of the cells that are stored; the new one is added.

    Returns:
        (result, ""); (None, reason) where the cell cannot be scored; (None, "") where it is stored
        already.
    """
    score = ScoreSpec.model_validate({**old.spec.score.model_dump(), **settings})
    spec = old.spec.model_copy(update={"score": score})
    cell = cell_key(old.products["probe"], spec.score)
    if cell in known:
        return None, ""
    try:
        folders = results.product_folders(old, session.place.store, ("prepare", "embed", "probe"))
    except InputError as error:
        return None, f"{results.file_stem(old.spec, old.cell)}: {error}"
    key = old.products["prepare"]
    if key not in opened:
        opened.clear()  # large ones do not fit into memory together
        opened[key] = open_prepared(folders["prepare"])
    data = opened[key]
    counts = session.counts(data, spec.score)
    try:
        scored = score_cell(spec, data, counts, folders["embed"], folders["probe"])
    except InputError as error:  # the logits are damaged, or cannot be scored with these settings
        return None, f"{results.file_stem(old.spec, old.cell)}: {error}"
    update = {
        "cell": cell,
        "spec": spec,
        "protocol": {**old.protocol, "interval": scored.interval, "untagged": spec.score.untagged},
        "counts": {**old.counts, **scored.counts},
        "code": code_version(),
        "versions": {**old.versions, **library_versions()},
        "created": now(),
        **scored.fields,
    }
    result = old.model_copy(update=update)
    results.write(session.place.results, result, scored.values)
    known.add(cell)
    return result, ""
