"""Whether two cells may be compared, and the sentence that says in what they differ."""

from typing import Any

from bench.report.comparison import Entry
from bench.report.groups import labels_of
from bench.results import Result

FACETS = ("encoder", "recipe", "pretrain_dataset", "probe", "seed")
"""Keys that may follow a method's name, as in `simclr,probe=mlp`."""
_SECTIONS = ("views", "augment", "weights", "scale", "embed", "probe")
"""Parts of a spec in which a difference between two entries is noted."""


def facet(result: Result, key: str) -> str:
    """What a cell says of one of the `FACETS`."""
    spec = result.spec
    facets = {
        "encoder": spec.encoder.name,
        "recipe": spec.recipe,
        "pretrain_dataset": spec.pretrain_dataset.name,
        "probe": spec.probe.kind,
        "seed": str(spec.seed),
    }
    return facets[key]


def _fields(result: Result) -> dict[str, Any]:
    """What must be the same in two cells, in the order in which a difference is named."""
    return {
        "data set": result.dataset,
        "split": result.data["split"],
        "kind of labels": result.data["kind"],
        "tag set": tuple(result.data["tags"]),
        "track set (test tracks)": result.counts["test_tracks"],
        "track set (hash of tracks, splits and tags)": result.data["tracks_hash"],
        "score.by": result.spec.score.by,
        "score.seed": result.spec.score.seed,
        "convention": result.convention,
        "fraction": result.spec.fraction,
        "labelled subsets": labels_of(result),
        "probe": result.spec.probe.kind,
    }


def differing(first: Result, second: Result) -> list[str]:
    """The fields that keep two cells from being compared, as sentences."""
    lines = []
    others = _fields(second)
    for name, mine in _fields(first).items():
        theirs = others[name]
        if mine == theirs:
            continue
        if name == "tag set":
            only = sorted(set(mine) ^ set(theirs))
            mine, theirs = f"{len(mine)} tags", f"{len(theirs)} tags"
            lines.append(
                f"{name}: {mine} against {theirs}"
                + (f", not in both: {', '.join(only[:3])}" if only else "")
            )
        else:
            lines.append(f"{name}: {mine} against {theirs}")
    return lines


def why_not(first: Entry, second: Entry) -> str:
    """Why two entries share no stratum: in what their most similar cells differ."""
    nearest = min(
        (differing(mine, theirs) for mine in first.cells for theirs in second.cells),
        key=lambda lines: (len(lines), lines),
    )
    return f"{first.name} and {second.name} cannot be compared: they differ in {'; '.join(nearest)}"


def ambiguous(name: str, first: Result, second: Result) -> str:
    """Why an entry must be narrowed: two of its cells have the same draw and seeds.

    Args:
        name: of the entry.
        first: one of the two cells.
        second: the other.
    """
    facets = [key for key in FACETS if facet(first, key) != facet(second, key)]
    files = f"{first.cell} and {second.cell}"
    if facets:
        options = " or ".join(
            f"'{name},{facets[0]}={facet(result, facets[0])}'" for result in (first, second)
        )
        return f"{name} has cells that differ in {facets[0]} ({files}): say which, {options}"
    return (
        f"{name} has several cells of the same draw and seeds ({files}) that differ in settings: "
        "give result files"
    )


def further_differences(first: Result, second: Result) -> list[str]:
    """Names of what two cells differ in beside the method; such a comparison is allowed."""
    names = [
        key
        for key in ("encoder", "recipe", "pretrain_dataset")
        if facet(first, key) != facet(second, key)
    ]
    names += [name for name in _SECTIONS if getattr(first.spec, name) != getattr(second.spec, name)]
    steps = {result.protocol["steps"] for result in (first, second) if result.protocol["steps"]}
    return [*names, "train.steps"] if len(steps) > 1 else names
