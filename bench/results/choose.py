"""Chooses one stored result for each cell that was scored several times, and finds its products."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.core.errors import InputError
from bench.core.store import PRODUCTS, Store, damage_of
from bench.results.schema import Result
from bench.settings.specs import ScoreSpec, digest


def preferred(found: Sequence[Result]) -> list[Result]:
    """One result for each cell, where some cells were scored several times.

    The results with the most default settings of scoring come first, of these the one with the most
    resamples, and of these the newest. Settings count before resamples, so that a comparison does
    not change when a cell is scored by group as well.

    Args:
        found: the results.
    """
    usual = ScoreSpec()
    best: dict[str, tuple[tuple[int, int, str], Result]] = {}
    for result in found:
        score = result.spec.score
        same = sum(
            getattr(score, name) == getattr(usual, name)
            for name in ("by", "untagged", "seed", "confidence")
        )
        rank = (same, score.resamples, result.created)
        key = digest([result.spec.model_copy(update={"score": usual}), result.data["tracks_hash"]])
        if key not in best or rank > best[key][0]:
            best[key] = rank, result
    return [result for _, result in best.values()]


def product_folders(
    result: Result, store: Store, stages: Iterable[str] = PRODUCTS
) -> dict[str, Path]:
    """The folders of the products that a cell was made from.

    Args:
        result: the cell's result.
        store: home.
        stages: the stages whose products are wanted.

    Raises:
        InputError: a product is no longer in home, or is damaged.
    """
    folders = {stage: store.folder(PRODUCTS[stage], result.products[stage]) for stage in stages}
    for folder in folders.values():
        if not folder.is_dir():
            raise InputError(f"{folder} is not there; `bench run` makes it")
        if wrong := damage_of(folder):
            raise InputError(f"{folder} is damaged ({wrong}); `bench run` makes it again")
    return folders
