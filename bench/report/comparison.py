"""What is compared and what comes of it: entries, strata, pairs and the whole comparison.

Cells are compared within a stratum: one data set and split, one fraction, labelled subsets of one
kind, one kind of probe and one convention of scoring. In a stratum the cells of two methods are
matched by draw and seeds.
"""

from dataclasses import dataclass
from pathlib import Path

from bench.report.groups import labels_of
from bench.results import Result
from bench.statistics.paired import Paired
from bench.statistics.ranks import Friedman
from bench.statistics.variance import VarianceComponents


@dataclass(frozen=True)
class Entry:
    """One side of a comparison: a method, a variant of it, or a single result.

    Attributes:
        name: as the user gave it.
        cells: its stored results.
        paths: the file of each result.
    """

    name: str
    cells: tuple[Result, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Stratum:
    """Where cells can be compared; tables print it as it stands.

    Attributes:
        dataset: name of the data set.
        split: name of the split.
        tracks: hash of tracks, splits and tags.
        fraction: fraction of the labels.
        labels: how the labelled tracks were drawn.
        probe: kind of the probe; empty where probes are what is compared.
    """

    dataset: str
    split: str
    tracks: str
    fraction: float
    labels: str
    probe: str


@dataclass(frozen=True)
class Pair:
    """The comparison of two entries in one stratum.

    Attributes:
        stratum: where they are compared.
        first: name of the first entry.
        second: name of the second entry.
        cells: number of matched pairs of cells.
        found: difference, interval and standard error over the choice of test tracks.
        p_value: p-value of the permutation test.
        adjusted: the p-value after Holm's adjustment over all pairs of the comparison.
        detectable: the smallest true difference that these test tracks would show with a power of
            80 %.
        variance: sources of variance of the differences.
    """

    stratum: Stratum
    first: str
    second: str
    cells: int
    found: Paired
    p_value: float
    adjusted: float
    detectable: float
    variance: VarianceComponents


@dataclass(frozen=True)
class Comparison:
    """Everything that `bench compare` says.

    Attributes:
        metric: name of the metric.
        pairs: every pair of entries in every stratum that both have.
        scores: sources of variance of each entry's own score, by stratum and entry.
        ranks: (fraction, probe) -> names of the data sets, names of the entries, and the test of
            their ranks; for those with two data sets or more.
        notes: what was left out, and why.
    """

    metric: str
    pairs: list[Pair]
    scores: dict[tuple[Stratum, str], VarianceComponents]
    ranks: dict[tuple[float, str], tuple[list[str], list[str], Friedman]]
    notes: list[str]


def stratum_of(result: Result, *, by_probe: bool) -> Stratum:
    """The stratum of a cell.

    Args:
        result: the cell.
        by_probe: whether kinds of probes are kept apart.
    """
    return Stratum(
        result.dataset,
        result.data["split"],
        result.data["tracks_hash"],
        result.spec.fraction,
        labels_of(result),
        result.spec.probe.kind if by_probe else "",
    )
