"""What a sweep file says, as frozen specs: axes, cells left out, fixed settings, resources a stage, the site."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bench.core import store
from bench.settings.base import Spec


def _one_value(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"{value!r}: give true, a number or a text")
    return value


Option = Annotated[bool | int | float | str, BeforeValidator(_one_value)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Probe = Literal["linear", "mlp", "knn", "finetune"]
Cluster = Literal["slurm", "local", "inline"]
Stage = Literal["pretrain", "embed", "probe"]
STAGES: tuple[Stage, ...] = ("pretrain", "embed", "probe")
"""Of a cell, in their order; each can be a job of its own."""
PRODUCTS: dict[Stage, str] = {stage: store.PRODUCTS[stage] for stage in STAGES}
"""Where in home the product of each of them lies."""


class AxesSpec(Spec):
    """The axes of a grid; an axis that is left out is the recipe's, as in `bench run`.

    Attributes:
        methods: names of `bench list methods`.
        encoders: names of `bench list encoders`.
        recipes: names of `bench list recipes`, or TOML files, relative to the folder that `bench
            sweep` is called in.
        datasets: probed ones; names of `bench list datasets`, or CSVs, likewise.
        pretrain_datasets: likewise; "same" is the probed one.
        fractions: shares of the labels in (0, 1], or numbers of tracks.
        draws: how many draws of each fraction below 1.
        seeds: of pretraining.
        probes: kinds of probes.
        probe_seeds: how many seeds of the probe.
    """

    methods: Names | None = None
    encoders: Names | None = None
    recipes: Names = ("quick",)
    datasets: Names = ("midiband",)
    pretrain_datasets: Names = ("same",)
    fractions: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] | None = (
        None
    )
    draws: Annotated[int, Field(ge=1, le=1000)] | None = None
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0,), min_length=1)
    probes: Annotated[tuple[Probe, ...], Field(min_length=1)] | None = None
    probe_seeds: int = Field(1, ge=1, le=1000)

    @field_validator("*")
    @classmethod
    def _no_value_twice(cls, value: Any) -> Any:
        if isinstance(value, tuple) and len(set(value)) < len(value):
            raise ValueError("a value stands twice")
        return value


AXES = (
    "method",
    "encoder",
    "recipe",
    "dataset",
    "pretrain_dataset",
    "fraction",
    "draw",
    "seed",
    "probe",
    "probe_seed",
)
"""What a cell has a value of on each axis, as `[[exclude]]` names it."""


class ExcludeSpec(Spec):
    """Cells that are left out: those with one of the values on every axis that is named."""

    method: Names | None = None
    encoder: Names | None = None
    recipe: Names | None = None
    dataset: Names | None = None
    pretrain_dataset: Names | None = None
    fraction: tuple[float, ...] | None = None
    draw: tuple[int, ...] | None = None
    seed: tuple[int, ...] | None = None
    probe: tuple[Probe, ...] | None = None
    probe_seed: tuple[int, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        if isinstance(given, dict):
            if not given:
                raise ValueError("names no axis, and so would leave every cell out")
            return {
                name: value if isinstance(value, list | tuple) else (value,)
                for name, value in given.items()
            }
        return given


class ResourcesSpec(Spec):
    """What one stage needs.

    A job that does several gets the most of each, and the sum of their hours.

    Attributes:
        gpus: of a node.
        cpus: of a node.
        memory_gb: RAM of a node, in GiB.
        hours: after which the cluster ends the job; it is put in line again and goes on from its
            checkpoint.
        nodes: that pretraining runs on at the same time.
        tasks: processes on each node that share a pretraining, each with as many of the node's GPUs
            and CPUs.
    """

    gpus: int = Field(0, ge=0, le=64)
    cpus: int = Field(1, ge=1, le=1_000_000)
    memory_gb: float = Field(4.0, gt=0, le=1e9)
    hours: float = Field(1.0, gt=0)
    nodes: int = Field(1, ge=1)
    tasks: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _tasks_share_evenly(self) -> "ResourcesSpec":
        if self.gpus % self.tasks or self.cpus % self.tasks:
            raise ValueError(
                f"{self.gpus} GPUs and {self.cpus} CPUs cannot be shared evenly by {self.tasks} tasks"
            )
        return self

    @property
    def machine(self) -> tuple[int | float, ...]:
        """What must be equal for stages to run in one job without anything standing idle."""
        return self.gpus, self.cpus, self.memory_gb, self.nodes, self.tasks

    @property
    def processes(self) -> int:
        """How many processes run at the same time."""
        return self.nodes * self.tasks


class StagesSpec(Spec):
    """Resources of each stage."""

    prepare: ResourcesSpec = ResourcesSpec()
    pretrain: ResourcesSpec = ResourcesSpec()
    embed: ResourcesSpec = ResourcesSpec()
    probe: ResourcesSpec = ResourcesSpec()

    @model_validator(mode="after")
    def _only_pretraining_is_shared(self) -> "StagesSpec":
        for name in ("prepare", "embed", "probe"):
            if getattr(self, name).processes > 1:
                raise ValueError(
                    f"{name}: nodes and tasks are of pretrain alone; the other stages are one process"
                )
        return self


class SiteSpec(Spec):
    """How jobs are started here.

    Attributes:
        partition: of Slurm; "" for the default one.
        account: of Slurm.
        qos: of Slurm.
        constraint: of Slurm: features that a node must have.
        setup: shell lines before Python starts, such as `module load cuda`.
        python: command of the interpreter on the nodes; "" for the one that submits.
        stages: "apart": pretrain, embed and probe are jobs of their own, each waiting for the one
            before; "together": one job; "auto": together where they ask for the same machine in
            [resources].
        groups_per_job: pretrainings, with all their cells, that one job computes one after another;
            0 packs short ones together where there are very many, since each job takes seconds to
            start.
        cells_per_job: where probe is a job of its own (`stages`); 0 for all cells of their groups.
        jobs_at_once: how many jobs of an array run at the same time; of `--cluster local`, how many
            in all.
        signal_seconds: how long before its time limit a job is told to write a checkpoint.
        requeues: how often a job may be put in line again after a time limit or a preemption.
        parameters: further options of sbatch, by their long names; those without a value are true.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    setup: tuple[str, ...] = ()
    python: str = ""
    stages: Literal["auto", "apart", "together"] = "auto"
    groups_per_job: int = Field(0, ge=0)
    cells_per_job: int = Field(0, ge=0)
    jobs_at_once: int = Field(0, ge=0)
    signal_seconds: int = Field(90, ge=1)
    requeues: int = Field(20, ge=0)
    parameters: dict[str, Option] = Field(default_factory=dict)


class AboutSpec(Spec):
    """What the sweep is, in words."""

    summary: str = ""
    paper: str = ""
    cost: str = ""


class SweepSpec(Spec):
    """A sweep file with its includes laid under it.

    Attributes:
        about: in words.
        axes: the grid.
        also: further grids; an axis that one leaves out is that of `axes`.
        exclude: cells that are left out of every grid.
        settings: fixed dotted settings, as in `bench run --train.steps 20`.
        scale: share of the recipes' budgets.
        resources: of each stage.
        site: how jobs are started.
    """

    about: AboutSpec = AboutSpec()
    axes: AxesSpec = AxesSpec()
    also: tuple[AxesSpec, ...] = ()
    exclude: tuple[ExcludeSpec, ...] = ()
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    scale: float = Field(1.0, gt=0)
    resources: StagesSpec = StagesSpec()
    site: SiteSpec = SiteSpec()
