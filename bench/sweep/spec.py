"""The content of a sweep file as frozen, validated specs.

Axes, cells left out, fixed settings, the resources of each stage, and how jobs are started.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bench.core import store
from bench.settings.base import Spec


def _one_value(value: Any) -> Any:
    """Refuses lists and tables as the value of an option."""
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"{value!r}: give true, a number or a text")
    return value


Option = Annotated[bool | int | float | str, BeforeValidator(_one_value)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Probe = Literal["linear", "mlp", "knn", "finetune"]
Cluster = Literal["slurm", "local", "inline"]
Stage = Literal["pretrain", "embed", "probe"]
STAGES: tuple[Stage, ...] = ("pretrain", "embed", "probe")
"""The stages of a cell, in their order; each can be a job of its own."""
PRODUCTS: dict[Stage, str] = {stage: store.PRODUCTS[stage] for stage in STAGES}
"""The folder in home of each stage's products."""


class AxesSpec(Spec):
    """The axes of a grid; where an axis is left out, the recipe says it, as in `bench run`.

    Paths are relative to the folder in which `bench sweep` is called.

    Attributes:
        methods: names of `bench list methods`.
        encoders: names of `bench list encoders`.
        recipes: names of `bench list recipes`, or paths of TOML files.
        datasets: data sets that are probed: names of `bench list datasets`, or paths of CSVs.
        pretrain_datasets: data sets that are pretrained on, named in the same way; "same" is the
            probed one.
        fractions: label fractions: shares in (0, 1], or numbers of labelled tracks.
        draws: how many random draws of the labelled tracks, for each fraction below 1.
        seeds: seeds of pretraining.
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
"""The axes on which every cell has one value, by the names that `[[exclude]]` uses."""


class ExcludeSpec(Spec):
    """Cells that are left out: those with one of the given values on every axis that is given."""

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
    """What one stage asks of the machine.

    A job that computes several stages asks for the most of each resource, and for the sum of the
    hours.

    Attributes:
        gpus: GPUs of each node.
        cpus: CPU cores of each node.
        memory_gb: RAM of each node, in GiB.
        hours: time limit of a job; the job is then put in line again and goes on from its
            checkpoint.
        nodes: number of nodes on which a pretraining runs at the same time.
        tasks: number of processes on each node that share a pretraining; they share the node's GPUs
            and CPUs evenly.
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
                f"{self.gpus} GPUs and {self.cpus} CPUs cannot be shared evenly "
                f"by {self.tasks} tasks"
            )
        return self

    @property
    def machine(self) -> tuple[int | float, ...]:
        """What must be equal so that two stages can share a job and leave nothing idle."""
        return self.gpus, self.cpus, self.memory_gb, self.nodes, self.tasks

    @property
    def processes(self) -> int:
        """The number of processes on all nodes."""
        return self.nodes * self.tasks


class StagesSpec(Spec):
    """The resources of each stage."""

    prepare: ResourcesSpec = ResourcesSpec()
    pretrain: ResourcesSpec = ResourcesSpec()
    embed: ResourcesSpec = ResourcesSpec()
    probe: ResourcesSpec = ResourcesSpec()

    @model_validator(mode="after")
    def _only_pretraining_is_shared(self) -> "StagesSpec":
        for name in ("prepare", "embed", "probe"):
            if getattr(self, name).processes > 1:
                raise ValueError(
                    f"{name}: nodes and tasks are of pretrain alone; "
                    "the other stages are one process"
                )
        return self


class SiteSpec(Spec):
    """How jobs are started here.

    Attributes:
        partition: partition of Slurm; "" for the default one.
        account: account of Slurm.
        qos: quality of service of Slurm.
        constraint: features that a node must have, as Slurm names them.
        setup: shell lines that run before Python starts, such as `module load cuda`.
        python: command of the interpreter on the nodes; "" for the one that launches.
        stages: "apart" makes pretrain, embed and probe jobs of their own, each waiting for the one
            before; "together" makes them one job; "auto" puts those together that ask for the same
            machine in [resources].
        groups_per_job: number of pretrainings, with all their cells, that one job computes one
            after another; 0 packs short ones together where there are very many, since each job
            takes seconds to start.
        cells_per_job: number of cells that one job probes, where probe is a job of its own (see
            `stages`); 0 for all cells of the job's pretrainings.
        jobs_at_once: how many jobs of an array run at the same time; with `--cluster local`, how
            many jobs in all.
        signal_seconds: how long before its time limit a job is told to write a checkpoint.
        requeues: how often a job may be put in line again after a time limit or a preemption.
        parameters: further options of sbatch, by their long names; true for one without a value.
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
    """What the sweep is, for the reader of the file.

    Attributes:
        summary: what it computes.
        paper: the work that it follows.
        cost: what it takes.
    """

    summary: str = ""
    paper: str = ""
    cost: str = ""


class SweepSpec(Spec):
    """A whole sweep file, laid over the files that it includes.

    Attributes:
        about: what the sweep is.
        axes: axes of the grid.
        also: further grids; an axis that is left out is that of `axes`.
        exclude: cells that are left out of every grid.
        settings: fixed settings by section and name, as in `bench run --train.steps 20`.
        scale: share of the recipes' training budgets that is used.
        resources: resources of each stage.
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
