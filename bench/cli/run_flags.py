"""The flags of `bench run`: the cells, their budget, and where products and results go."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from bench.cli.flags import Flag, Home, Plugins, Results

_LABELS = Group("Published label subsets", sort_key=1)
_COST = Group("Budget and device", sort_key=1)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Cells:
    """Which cells are computed.

    Attributes:
        method: Name of `bench list methods`; several with commas. A recipe with an experiment of
            its own needs none.
        fraction: Share of the training tracks whose labels may be used, in (0, 1], or a number of
            tracks; several with commas: 0.01,0.1,259,1.0 (1.0, or the recipe's).
        draws: How many draws of the labelled tracks (a fraction of 1 has but one) (1, or the
            recipe's).
        preset: Fractions, draws and scheme of a published work: deezer (uniform; 1, 5, 10, 20 % in
            4 draws, 100 %), clmr (balanced over tags; 1 to 100 % of all tracks).
        subset: Labelled tracks of `bench subsets import`, by hash; several with commas. In place of
            fraction and draws.
        dataset: Name of `bench list datasets`, or a CSV with `path` and `label` or `tags` (|
            between tags), optionally `split`, `group`, `track_id`.
        pretrain_dataset: Where to pretrain, if not on `--dataset`.
        exclude: File of `bench data leaks --out`: tracks that are not pretrained on.
        encoder: Name of `bench list encoders`, if not the recipe's.
        recipe: Name of `bench list recipes`, or a TOML file.
        augment: What is done to the views, if not what the recipe does: none, log_mel, clmr,
            clmr_v1, clmr_thesis, byol_a. Hear and see it with `bench listen`.
        weights: File of `bench import`: what the encoder starts from. Without `--method` it is kept
            as it is and probed.
        probe: What is trained on the frozen embeddings, if not the recipe's: linear, mlp, knn, or
            finetune, which trains the encoder on; several with commas.
        seed: Of pretraining; several with commas.
        probe_seeds: How many seeds of the probe.
        resamples: Bootstrap resamples of the test tracks (1000); others than before need no
            training.
    """

    method: str | None = None
    fraction: str | None = None
    draws: int | None = None
    preset: Annotated[Literal["deezer", "clmr"] | None, Parameter(group=_LABELS)] = None
    subset: Annotated[str | None, Parameter(group=_LABELS)] = None
    dataset: str = "midiband"
    pretrain_dataset: str | None = None
    exclude: Path | None = None
    encoder: str | None = None
    recipe: str = "quick"
    augment: str | None = None
    weights: Path | None = None
    probe: str | None = None
    seed: str = "0"
    probe_seeds: int = 1
    resamples: int | None = None


@Parameter(name="*", group=_COST)
@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is computed, and on what.

    Attributes:
        scale: Share of the recipe's budget of training, for a trial: 0.001 is a thousandth (probes
            keep a tenth of theirs).
        steps: Optimiser steps of pretraining, if not the recipe's.
        device: Where to train.
        tracks: Size of a data set that is made, such as midiband (600).
        seconds: Length of its tracks, in seconds (10).
    """

    scale: float = 1.0
    steps: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tracks: int | None = None
    seconds: float | None = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """Where products and results go, and what is printed.

    Attributes:
        conventions: Print the scores of the same logits under other conventions too (always where
            test tracks have no tag).
        fresh: Make again what was made under other versions of the libraries (their major or minor
            version), which is otherwise used and named in the result.
        dry_run: Say what would be done and what is already there; do nothing.
        json: Print one JSON document with all rows on standard output, everything else on standard
            error.
        track: Mirror finished cells into MLflow: `mlflow.db` here, or MLFLOW_TRACKING_URI.
    """

    home: Home = Path(".bench")
    results: Results = Path("results")
    plugins: Plugins = None
    conventions: Flag = False
    fresh: Flag = False
    dry_run: Flag = False
    json: Flag = False
    track: Annotated[bool, Parameter(env_var="BENCH_TRACK", negative="")] = False
