"""The specs: frozen, typed, checked descriptions of each stage.

Unknown keys are errors; the digest is canonical. A spec says everything that its stage's product
depends on, so its digest names the product on disk. Nothing heavy is imported here: a finished cell
is found again without torch.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bench.settings.augmentations import AugmentSpec
from bench.settings.base import Spec as Spec

_LONGEST_NAME = 80  # bytes of a CSV's name that go into file names
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class PlugIn(Spec):
    """A method, encoder or data set by name, with the settings that were given for it.

    Its own `Settings` checks them when its file is loaded; here they are only carried, so that
    planning stays light.
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
        mode: "segments" cuts two different segments of one track; "independent" cuts two wherever
            they fall, as CLMR does; "same" cuts one and gives it to every view, for tasks whose
            views differ by augmentation alone.
        min_gap_seconds: least silence between the end of one segment and the start of the other, in
            seconds.
        splits: which tracks are pretrained on: the training split alone, or every track of the data
            set.
        exclude: hash of a list of tracks that are not pretrained on (`bench data leaks` writes
            them); "" for none.
    """

    mode: Literal["segments", "independent", "same"] = "segments"
    min_gap_seconds: float = Field(0.5, ge=0, le=3600)
    splits: Literal["train", "all"] = "train"
    exclude: str = Field("", pattern="^([0-9a-f]{16})?$")


class TrainSpec(Spec):
    """Optimisation and budget of pretraining.

    Attributes:
        steps: optimiser steps, the budget.
        epochs: the budget as passes over the tracks; above 0 it takes the place of `steps`.
        batch_size: tracks a step.
        optimiser: "adamw", "adam" (weight decay as a part of the gradient), or "lars" with a
            momentum of 0.9.
        schedule: of the learning rate after the warm-up: half a "cosine" to the final one, or
            "constant".
        learning_rate: peak of the schedule.
        final_learning_rate: where the cosine ends.
        warmup: share of the steps that the linear warm-up takes.
        weight_decay: biases and normalisation parameters are left out.
        final_weight_decay: where half a cosine takes the weight decay by the end; None keeps it.
        betas: of Adam and AdamW.
        clip_norm: largest norm of the gradient; 0 for no clipping.
        precision: "auto" is bfloat16 where the device has it and float32 elsewhere.
        checkpoint_seconds: time between checkpoints, in seconds.
        diagnose_times: how often in a run the signs of collapse are measured (and validation
            scored, with labels).
        patience: with labels, looks at the valid split without a better score after which training
            stops; 0 for never.
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
    """How a track is embedded: non-overlapping segments of the encoder's length, one vector each.

    Attributes:
        max_seconds: audio read of each track from its start, in seconds; 0 for all of it.
    """

    max_seconds: float = Field(0.0, ge=0)


def _once(grid: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(grid)) < len(grid):
        raise ValueError("a value stands twice in the grid")
    return grid


class LabelsSpec(Spec):
    """Which training tracks are labelled at a fraction; the same for every method.

    Attributes:
        scheme: "balanced" gives every tag a positive as early as possible and then keeps the tags'
            numbers of positives as even as can be; "uniform" draws tracks at random, as Deezer's
            comparison does.
        by: "track", or "group": all tracks of a group (artist or album) or none.
        of: what a fraction is a share of: the training split, or the whole data set, as in CLMR's
            259 songs for 1 % of 25 863. A fraction of 1 is the whole training split in both.
        seed: of the draws.
        subset: hash of an imported subset, which then takes the place of scheme, fraction and draw;
            "" for none.
    """

    scheme: Literal["balanced", "uniform"] = "balanced"
    by: Literal["track", "group"] = "track"
    of: Literal["train", "dataset"] = "train"
    seed: int = Field(0, ge=0)
    subset: str = Field("", pattern="^([0-9a-f]{16})?$")


class ProbeSpec(Spec):
    """The probe on frozen embeddings.

    What is chosen (see below) is chosen by macro mAP on the valid split.

    Attributes:
        kind: "linear"; "mlp" with one hidden layer; "knn", nearest neighbours by cosine;
            "finetune", which trains the encoder further (see `FinetuneSpec`).
        hidden: width of the hidden layer of "mlp".
        batch_norm: whether the hidden layer is batch-normalised before its ReLU.
        dropout: share of the hidden units that a step leaves out.
        train_on: "tracks" trains on mean embeddings; "segments" on one random segment of each track
            a step, as Deezer and CLMR do.
        aggregation: how segments become the score of a track, and what probes are chosen by:
            "mean_embedding" (Deezer) or "mean_probability" (CLMR). The scores under the other one
            are reported beside it, from the same probes.
        learning_rates: grid of AdamW's learning rate.
        weight_decays: grid of AdamW's weight decay.
        steps: optimiser steps of each probe.
        batch_size: tracks a step.
        evaluate_every: steps between two looks at the valid split.
        patience: looks without a better score after which a grid point stops; 0 for never.
        neighbours: grid of the number of neighbours of "knn".
        memory_mb: how much the probes in training at once may take, in MiB; no score depends on it.
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

    Chosen on the valid split.

    Attributes:
        learning_rates: grid of the peak learning rate.
        steps: optimiser steps.
        batch_size: tracks a step.
        warmup: share of the steps that the linear warm-up takes.
        weight_decay: of AdamW.
        diagnose_times: how often in a run the valid split is looked at.
        patience: looks without a better score after which training stops; 0 for never.
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
        resamples: bootstrap resamples of the test tracks.
        confidence: coverage of the interval.
        seed: of the resamples; the same for every method, so that scores can be compared pairwise.
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
        fractions: shares of the labels, or numbers of tracks.
        draws: draws of the labelled tracks at each fraction below 1.
    """

    methods: tuple[str, ...] = ()
    probes: tuple[Literal["linear", "mlp", "knn", "finetune"], ...] = ()
    fractions: tuple[Positive, ...] = ()
    draws: int = Field(1, ge=1)


class RunSpec(Spec):
    """One cell: a method on an encoder, pretrained on one data set and probed on another.

    Attributes:
        augment: what is done to the views.
        weights: hash of the imported weights that the encoder starts from; "" for freshly drawn
            ones.
        scale: the share of the recipe's budget of pretraining that this cell was given; 1 is the
            recipe.
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
        if fraction > 1 and not fraction.is_integer():
            raise ValueError("above 1 it must be a whole number of tracks")
        return fraction


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same text for the same content.

    Specs are written as their fields.
    """

    def plain(item: Any) -> Any:
        if isinstance(item, BaseModel):
            return item.model_dump(mode="json")
        raise TypeError(f"cannot hash {type(item).__name__}")

    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=plain, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """Hexadecimal SHA-256 of the canonical JSON, cut to `length` characters."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:length]


def dataset_name(name: str) -> str:
    """A short name of a data set: a CSV's file name without its ending, cut where it is long."""
    if not is_csv(name):
        return name
    return Path(name).stem.encode()[:_LONGEST_NAME].decode(errors="ignore")


def is_csv(name: str) -> bool:
    """Whether the name of a data set is the path of a CSV."""
    return name.lower().endswith(".csv")
