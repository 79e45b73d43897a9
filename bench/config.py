"""The specs: frozen, typed, checked descriptions of each stage. Unknown keys are errors; the digest is canonical.

A spec says everything that its stage's product depends on, so its digest names the product on disk. Nothing heavy is
imported here: a finished cell is found again without torch.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Spec(BaseModel):
    """Base of all specs and of every plug-in's `Settings`: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PlugIn(Spec):
    """A method, encoder or data set by name, with the settings that were given for it.

    Its own `Settings` checks them when its file is loaded; here they are only carried, so that planning stays light.
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
        mode: "segments" cuts two different segments of one track; "same" cuts one segment and gives it to every view,
            for pretext tasks whose views differ by augmentation alone.
        min_gap_seconds: least silence between the end of one segment and the start of the other, in seconds.
        augment: "none", or "log_mel": gain, noise and masks on the log-mel spectrogram (see `bench.data.augment`).
        splits: which tracks are pretrained on: the training split alone, or every track of the data set.
    """

    mode: Literal["segments", "same"] = "segments"
    min_gap_seconds: float = Field(0.5, ge=0, le=3600)
    augment: Literal["none", "log_mel"] = "none"
    splits: Literal["train", "all"] = "train"


class TrainSpec(Spec):
    """Optimisation and budget of pretraining.

    Attributes:
        steps: optimiser steps, the budget.
        batch_size: tracks a step.
        learning_rate: peak of the schedule (linear warm-up, then cosine to zero).
        warmup: share of the steps that the linear warm-up takes.
        weight_decay: of AdamW; biases and normalisation parameters are left out.
        betas: of AdamW.
        clip_norm: largest norm of the gradient; 0 for no clipping.
        precision: "auto" is bfloat16 where the device has it and float32 elsewhere.
        checkpoint_seconds: time between checkpoints, in seconds.
        diagnose_times: how often in a run the signs of collapse are measured (and validation scored, with labels).
        patience: with labels, looks at the valid split without a better score after which training stops; 0 for never.
    """

    steps: int = Field(400, ge=1)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    betas: tuple[Share, Share] = (0.9, 0.98)
    clip_norm: float = Field(3.0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpoint_seconds: float = Field(30.0, gt=0)
    diagnose_times: int = Field(8, ge=1)
    patience: int = Field(0, ge=0)


class EmbedSpec(Spec):
    """How a track becomes one vector: non-overlapping segments of the encoder's length, averaged.

    Attributes:
        pooling: how segment embeddings become one; the mean is Deezer's protocol.
        max_seconds: audio read of each track from its start, in seconds; 0 for all of it.
    """

    pooling: Literal["mean"] = "mean"
    max_seconds: float = Field(0.0, ge=0)


class ProbeSpec(Spec):
    """The probe on frozen embeddings; learning rate, weight decay and stopping step are chosen on the valid split.

    Attributes:
        kind: "linear", or "mlp" with one hidden layer.
        hidden: width of the hidden layer of "mlp".
        learning_rates: grid of AdamW's learning rate.
        weight_decays: grid of AdamW's weight decay.
        steps: optimiser steps of each probe.
        batch_size: tracks a step.
        evaluate_every: steps between two looks at the valid split.
    """

    kind: Literal["linear", "mlp"] = "linear"
    hidden: int = Field(512, ge=1)
    learning_rates: tuple[Positive, ...] = Field((1e-3, 1e-2), min_length=1)
    weight_decays: tuple[NotNegative, ...] = Field((1e-4, 1e-1, 1.0), min_length=1)
    steps: int = Field(600, ge=1)
    batch_size: int = Field(256, ge=1)
    evaluate_every: int = Field(20, ge=1)


class ScoreSpec(Spec):
    """Metrics and intervals.

    Attributes:
        resamples: bootstrap resamples of the test tracks.
        confidence: coverage of the interval.
        seed: of the resamples; the same for every method, so that scores can be compared pairwise.
    """

    resamples: int = Field(1000, ge=0)
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = 0


class RunSpec(Spec):
    """One cell: a method on an encoder, pretrained on one data set, probed on another at one fraction and draw."""

    recipe: str
    method: PlugIn
    encoder: PlugIn
    dataset: PlugIn
    pretrain_dataset: PlugIn
    views: ViewsSpec = ViewsSpec()
    train: TrainSpec = TrainSpec()
    embed: EmbedSpec = EmbedSpec()
    probe: ProbeSpec = ProbeSpec()
    score: ScoreSpec = ScoreSpec()
    fraction: float = Field(1.0, gt=0, le=1)
    draw: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same text for the same content. Specs are written as their fields."""

    def plain(item: Any) -> Any:
        if isinstance(item, BaseModel):
            return item.model_dump(mode="json")
        raise TypeError(f"cannot hash {type(item).__name__}")

    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=plain, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """Hexadecimal SHA-256 of the canonical JSON, cut to `length` characters."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:length]
