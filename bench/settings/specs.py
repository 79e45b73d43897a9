"""The specs: frozen, typed and checked settings of each stage.

A spec holds every setting that the product of its stage depends on, so that its digest is part of
the product's key. Unknown settings are errors. torch is not imported, since a finished cell is
found again without it.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from bench.settings.augmentations import AugmentSpec
from bench.settings.base import Spec as Spec
from bench.settings.canonical import canonical as canonical
from bench.settings.canonical import digest as digest

_LONGEST_NAME = 80
"""Bytes of the name of a CSV that are used in file names."""
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class PlugIn(Spec):
    """A method, encoder or data set by name, with the settings that were given for it.

    They are checked by the plug-in's own `Settings` when its file is loaded, and only carried here,
    so that planning loads no plug-in.

    Attributes:
        name: of the plug-in, or the path of a CSV that is a data set.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """The given settings, without the name."""
        return dict(self.model_extra or {})


class ViewsSpec(Spec):
    """How views are cut from a track.

    Attributes:
        mode: "segments" cuts two segments of one track with a gap between them, where the track is
            long enough; "independent" cuts two at independent places, as CLMR does; "same" cuts one
            segment for all views, which then differ by augmentation alone.
        min_gap_seconds: least time between the end of one segment and the start of the other, for
            "segments".
        splits: which tracks are pretrained on: the training split alone, or every track of the data
            set.
        exclude: hash of a list of tracks that are not pretrained on (`bench data leaks` writes such
            lists); "" for none.
    """

    mode: Literal["segments", "independent", "same"] = "segments"
    min_gap_seconds: float = Field(0.5, ge=0, le=3600)
    splits: Literal["train", "all"] = "train"
    exclude: str = Field("", pattern="^([0-9a-f]{16})?$")


class TrainSpec(Spec):
    """Optimisation and budget of pretraining.

    Attributes:
        steps: the budget as a number of optimiser steps.
        epochs: the budget as passes over the tracks; above 0 it takes the place of `steps`.
        batch_size: number of tracks in a batch.
        optimiser: "adamw", "adam" (with the weight decay as a part of the gradient), or "lars" with
            a momentum of 0.9.
        schedule: of the learning rate after the warm-up: "cosine" falls along half a cosine to the
            final learning rate, "constant" stays.
        learning_rate: the highest of the schedule.
        final_learning_rate: at which the cosine ends.
        warmup: share of the steps that the linear warm-up takes.
        weight_decay: of all parameters but biases and those of normalisation layers.
        final_weight_decay: at which the weight decay ends, along half a cosine; None keeps it
            constant.
        betas: the two betas of Adam and AdamW.
        clip_norm: largest norm of the gradient; 0 for no clipping.
        precision: "auto" is bfloat16 where the device has it and float32 elsewhere.
        checkpoint_seconds: time between two checkpoints.
        diagnose_times: how often in a run the signs of collapse are measured; a method that learns
            from labels is scored on the valid split as often.
        patience: number of evaluations on the valid split without a better score after which a
            method that learns from labels stops; 0 for never.
    """

    steps: int = Field(400, ge=1)
    epochs: float = Field(0.0, ge=0)
    batch_size: int = Field(64, ge=2)
    optimiser: Literal["adamw", "adam", "lars"] = "adamw"
    schedule: Literal["cosine", "constant"] = "cosine"
    learning_rate: float = Field(1e-3, gt=0)
    final_learning_rate: float = Field(0.0, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    final_weight_decay: float | None = Field(None, ge=0)
    betas: tuple[Share, Share] = (0.9, 0.98)
    clip_norm: float = Field(3.0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpoint_seconds: float = Field(30.0, gt=0)
    diagnose_times: int = Field(8, ge=1)
    patience: int = Field(0, ge=0)


class EmbedSpec(Spec):
    """How a track is embedded: one vector for each non-overlapping segment of the encoder's length.

    Attributes:
        max_seconds: length of audio that is read of each track, from its start; 0 for all of it.
    """

    max_seconds: float = Field(0.0, ge=0)


def _once(grid: tuple[float, ...]) -> tuple[float, ...]:
    """Refuses a grid that holds a value twice."""
    if len(set(grid)) < len(grid):
        raise ValueError("a value stands twice in the grid")
    return grid


class LabelsSpec(Spec):
    """Which training tracks are labelled at a label fraction; the same for every method.

    Attributes:
        scheme: "balanced" gives every tag a positive track as early as possible and then keeps the
            tags' numbers of positives as even as it can; "uniform" draws tracks at random, as
            Deezer's comparison does.
        by: what is drawn: a "track", or a "group" (artist or album) with all its tracks.
        of: what a fraction is a share of: the training split, or the whole data set, as in CLMR's
            259 songs for 1 % of 25 863. A fraction of 1 is the whole training split in both.
        seed: of the draws.
        subset: hash of an imported list of labelled tracks, which takes the place of scheme,
            fraction and draw; "" for none.
    """

    scheme: Literal["balanced", "uniform"] = "balanced"
    by: Literal["track", "group"] = "track"
    of: Literal["train", "dataset"] = "train"
    seed: int = Field(0, ge=0)
    subset: str = Field("", pattern="^([0-9a-f]{16})?$")


class ProbeSpec(Spec):
    """The probe on frozen embeddings.

    Of the grids, the point with the highest macro mAP on the valid split is chosen.

    Attributes:
        kind: "linear"; "mlp" with one hidden layer; "knn", nearest neighbours by cosine similarity;
            "finetune", which trains the encoder further (see `FinetuneSpec`).
        hidden: width of the hidden layer of "mlp".
        batch_norm: whether the hidden layer is batch-normalised before its ReLU.
        dropout: share of the hidden units that are set to 0 in each step.
        train_on: "tracks" trains on the mean embeddings of tracks; "segments" on one random segment
            of each track in each step, as Deezer and CLMR do.
        aggregation: how the segments of a track become its score, in the choice of probes as well:
            "mean_embedding" (Deezer) or "mean_probability" (CLMR). The scores under the other
            convention are reported beside it, from the same probes.
        learning_rates: grid of AdamW's learning rate.
        weight_decays: grid of AdamW's weight decay.
        steps: optimiser steps of each probe.
        batch_size: number of tracks in a batch.
        evaluate_every: number of steps between two evaluations on the valid split.
        patience: number of evaluations without a better score after which the training of a grid
            point stops; 0 for never.
        neighbours: grid of the number of neighbours of "knn".
        memory_mb: memory that the probes in training at once may take, in MiB; no score depends on
            it.
    """

    kind: Literal["linear", "mlp", "knn", "finetune"] = "linear"
    hidden: int = Field(512, ge=1)
    batch_norm: bool = True
    dropout: float = Field(0.0, ge=0, lt=1)
    train_on: Literal["tracks", "segments"] = "tracks"
    aggregation: Literal["mean_embedding", "mean_probability"] = "mean_embedding"
    learning_rates: tuple[Positive, ...] = Field((1e-3, 1e-2), min_length=1)
    weight_decays: tuple[NotNegative, ...] = Field((1e-4, 1e-1, 1.0), min_length=1)
    steps: int = Field(600, ge=1)
    batch_size: int = Field(256, ge=1)
    evaluate_every: int = Field(20, ge=1)
    patience: int = Field(10, ge=0)
    neighbours: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 5, 10, 20, 50, 100), min_length=1
    )
    memory_mb: float = Field(1024.0, gt=0)

    _no_value_twice = field_validator("learning_rates", "weight_decays", "neighbours")(_once)


class FinetuneSpec(Spec):
    """Fine-tuning of the encoder with a linear classifier on the labelled tracks.

    The learning rate and the step are those with the best score on the valid split.

    Attributes:
        learning_rates: grid of the highest learning rate of the schedule.
        steps: optimiser steps.
        batch_size: number of tracks in a batch.
        warmup: share of the steps that the linear warm-up takes.
        weight_decay: of AdamW.
        diagnose_times: how often in a run the valid split is scored.
        patience: number of evaluations without a better score after which training stops; 0 for
            never.
    """

    learning_rates: tuple[Positive, ...] = Field((1e-4, 5e-4), min_length=1)
    steps: int = Field(200, ge=1)
    batch_size: int = Field(32, ge=2)
    warmup: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    diagnose_times: int = Field(10, ge=1)
    patience: int = Field(4, ge=0)

    _no_value_twice = field_validator("learning_rates")(_once)


class ScoreSpec(Spec):
    """Metrics and intervals.

    Attributes:
        resamples: number of bootstrap resamples of the test tracks.
        confidence: nominal coverage of the intervals.
        seed: of the resamples; the same for every method, so that scores can be compared in pairs.
        by: what is resampled: tracks, or groups (artists or albums) with all their tracks.
        untagged: whether test tracks without any tag are scored; the scores under the other
            convention are reported beside it, from the same logits.
    """

    resamples: int = Field(1000, ge=0)
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = 0
    by: Literal["track", "group"] = "track"
    untagged: Literal["kept", "removed"] = "kept"


class ExperimentSpec(Spec):
    """The axes of a published experiment: what a recipe computes where the command line is silent.

    Attributes:
        methods: names of methods.
        probes: kinds of probes.
        fractions: shares of the labels, or numbers of labelled tracks.
        draws: number of draws of the labelled tracks at each fraction below 1.
    """

    methods: tuple[str, ...] = ()
    probes: tuple[Literal["linear", "mlp", "knn", "finetune"], ...] = ()
    fractions: tuple[Positive, ...] = ()
    draws: int = Field(1, ge=1)


class RunSpec(Spec):
    """One cell: a method on an encoder, pretrained on one data set and probed on another.

    Attributes:
        recipe: name of the recipe whose settings it started from, or the path of its file.
        method: the method and its settings.
        encoder: the encoder and its settings.
        dataset: the data set that is probed.
        pretrain_dataset: the data set that is pretrained on.
        views: how views are cut from tracks.
        augment: the augmentations of the views.
        weights: hash of the imported weights that the encoder starts from; "" for freshly drawn
            ones.
        train: optimisation and budget of pretraining.
        embed: how tracks are embedded.
        labels: which training tracks are labelled.
        probe: the probe.
        finetune: fine-tuning, for the probe of that kind.
        score: metrics and intervals.
        scale: what the recipe's budget of pretraining was multiplied by; 1 is the recipe.
        fraction: share of the labels, above 0 and at most 1; or, above 1, a whole number of tracks.
        draw: which draw of the labelled tracks.
        seed: of pretraining.
        probe_seed: of the probe's start and batches.
    """

    recipe: str
    method: PlugIn
    encoder: PlugIn
    dataset: PlugIn
    pretrain_dataset: PlugIn
    views: ViewsSpec = ViewsSpec()
    augment: AugmentSpec = AugmentSpec()
    weights: str = Field("", pattern="^([0-9a-f]{16})?$")
    train: TrainSpec = TrainSpec()
    embed: EmbedSpec = EmbedSpec()
    labels: LabelsSpec = LabelsSpec()
    probe: ProbeSpec = ProbeSpec()
    finetune: FinetuneSpec = FinetuneSpec()
    score: ScoreSpec = ScoreSpec()
    scale: float = Field(1.0, gt=0)
    fraction: float = Field(1.0, gt=0)
    draw: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)
    probe_seed: int = Field(0, ge=0)

    @field_validator("fraction")
    @classmethod
    def _share_or_number(cls, fraction: float) -> float:
        """Refuses numbers of tracks that are not whole."""
        if fraction > 1 and not fraction.is_integer():
            raise ValueError("above 1 it must be a whole number of tracks")
        return fraction


def dataset_name(name: str) -> str:
    """A short name of a data set, for titles and file names.

    Args:
        name: of the data set; of a CSV's path, the file name without its ending is taken.
    """
    if not is_csv(name):
        return name
    return Path(name).stem.encode()[:_LONGEST_NAME].decode(errors="ignore")


def is_csv(name: str) -> bool:
    """Whether the name of a data set is the path of a CSV."""
    return name.lower().endswith(".csv")
