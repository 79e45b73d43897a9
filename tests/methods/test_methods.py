"""Rules that every file in `methods/` must keep.

Methods are found by listing the folder, so that a new file is tested without an edit here.
"""

import ast
import io
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic
import pytest
import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from bench import heads, method

FILES = pkgutil.iter_modules(import_module("bench.methods").__path__)
NAMES = sorted(found.name for found in FILES if not found.name.startswith("_"))
MODULES = {name: import_module(f"bench.methods.{name}") for name in NAMES}
TRAINED = [name for name, module in MODULES.items() if getattr(module, "TRAINS", True)]
CONSTANTS = {
    "PAPER": str,
    "COST": str,
    "TRAINS": bool,
    "USES_LABELS": bool,
    "VIEWS": int,
    "RESTORES": bool,
    "ENCODER": str,
}
STEPS, BATCH, OUTPUTS, WIDTH = 8, 6, 4, 12

each = pytest.mark.parametrize("module", MODULES.values(), ids=NAMES)
each_trained = pytest.mark.parametrize("module", [MODULES[name] for name in TRAINED], ids=TRAINED)
pytestmark = pytest.mark.filterwarnings("error")


class Encoder(nn.Module):
    """(batch, 1, mels, frames) -> (batch, 12).

    No layer has a bias that a following normalisation would cancel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, WIDTH, 3, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
        )

    def forward(self, log_mel: Tensor) -> Tensor:
        result: Tensor = self.layers(log_mel).mean(dim=(2, 3))
        return result


def small(module: ModuleType, **changes: Any) -> method.Settings:
    """The method's settings with every width of the thousands cut to 16."""
    fields = module.Settings.model_fields.items()
    cut = {name: 16 for name, field in fields if type(field.default) is int and field.default >= 64}
    result: method.Settings = module.Settings(**cut | changes)
    return result


def build(
    module: ModuleType, *, seed: int = 0, multi_label: bool = True, **changes: Any
) -> method.Method:
    """A small method with its own tiny encoder."""
    torch.manual_seed(seed)
    outputs = OUTPUTS if getattr(module, "USES_LABELS", False) else 0
    task = method.Task(steps=STEPS, batch_size=BATCH, outputs=outputs, multi_label=multi_label)
    result: method.Method = module.Method(Encoder(), WIDTH, small(module, **changes), task)
    return result


def batch_at(module: ModuleType, step: int, *, multi_label: bool = True) -> method.Batch:
    """The batch of a step, the same whenever it is asked for."""
    generator = torch.Generator().manual_seed(1000 + step)
    common = torch.randn(BATCH, 1, 10, 12, generator=generator)
    noise = [
        torch.randn(common.shape, generator=generator) for _ in range(getattr(module, "VIEWS", 2))
    ]
    labels = torch.randint(0, 2, (BATCH, OUTPUTS), generator=generator).float()
    if not multi_label:
        labels = labels.argmax(dim=1)
    uses_labels = getattr(module, "USES_LABELS", False)
    return method.Batch(
        views=tuple(common + part for part in noise), labels=labels if uses_labels else None
    )


def optimiser_of(built: method.Method) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        (value for value in built.parameters() if value.requires_grad), lr=1e-2
    )


def train(
    built: method.Method, optimiser: torch.optim.Optimizer, module: ModuleType, steps: range
) -> list[float]:
    """The losses of some steps."""
    losses = []
    for step in steps:
        loss = built(batch_at(module, step), step).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        built.after_step(step)
        losses.append(loss.item())
    return losses


def slow_copies(built: method.Method) -> list[heads.SlowCopy]:
    return [part for part in built.modules() if isinstance(part, heads.SlowCopy)]


def test_the_methods_of_the_comparison_are_there() -> None:
    comparison = {"simclr", "byol", "barlow_twins", "vicreg", "clustering"}
    assert comparison | {"supervised", "random_init", "mfcc"} <= set(NAMES)


# The loss.


@each_trained
@pytest.mark.parametrize("multi_label", [True, False])
def test_loss_is_a_finite_scalar_and_reaches_the_encoder(
    module: ModuleType, multi_label: bool
) -> None:
    built = build(module, multi_label=multi_label)
    loss = built(batch_at(module, 3, multi_label=multi_label), 3)
    assert isinstance(loss, method.Loss)
    assert loss.terms
    for name, value in {"total": loss.total, **loss.terms}.items():
        assert value.shape == (), name
        assert value.dtype == torch.float32, name
        assert value.isfinite(), name
    loss.total.backward()
    for name, value in built.encoder.named_parameters():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
        assert value.grad.any(), name
    # Distributed training needs every trainable parameter to take part in every step.
    assert not [
        name
        for name, value in built.named_parameters()
        if value.requires_grad and value.grad is None
    ]
    if built.classifier is not None:
        assert built.classifier(torch.zeros(2, WIDTH)).shape == (2, OUTPUTS)


WEIGHTS: dict[str, dict[str, float]] = {
    "simclr": {"nt_xent": 1},
    "byol": {"distance": 1},
    "barlow_twins": {"invariance": 1, "redundancy": 5.1e-3},
    "vicreg": {"invariance": 25, "variance": 25, "covariance": 1},
    "clustering": {"cross_entropy": 1},
    "supervised": {"cross_entropy": 1},
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_total_is_the_weighted_sum_and_the_rest_are_signs(name: str) -> None:
    module = MODULES[name]
    loss = build(module)(batch_at(module, 0), 0)
    expected = sum(weight * loss.terms[term] for term, weight in WEIGHTS[name].items())
    torch.testing.assert_close(loss.total, expected)
    for term, value in loss.terms.items():
        assert value.requires_grad == (term in WEIGHTS[name]), f"{term}: a sign must carry no graph"


@each_trained
def test_half_precision_networks_give_a_float32_loss(module: ModuleType) -> None:
    built = build(module)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = built(batch_at(module, 0), 0)
    built.after_step(0)
    assert loss.total.dtype == torch.float32
    torch.testing.assert_close(
        loss.total, build(module)(batch_at(module, 0), 0).total, rtol=0.1, atol=0.1
    )
    assert all(value.dtype in (torch.float32, torch.int64) for value in built.state_dict().values())


@each_trained
def test_training_lowers_the_loss_of_one_batch(module: ModuleType) -> None:
    built = build(module)
    optimiser = torch.optim.AdamW(
        (value for value in built.parameters() if value.requires_grad), lr=3e-3
    )
    batch, losses = batch_at(module, 0), []
    for _ in range(30):
        # Step 4 throughout: no schedule moves, and prototypes are free.
        loss = built(batch, 4).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


# Repeatability.


@each_trained
def test_identical_seeds_give_identical_losses(module: ModuleType) -> None:
    runs = []
    for seed in (0, 0, 1):
        built = build(module, seed=seed)
        runs.append(train(built, optimiser_of(built), module, range(4)))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@each_trained
def test_a_resumed_run_is_bit_identical(module: ModuleType) -> None:
    straight = build(module)
    optimiser = optimiser_of(straight)
    losses = train(straight, optimiser, module, range(6))

    first = build(module)
    optimiser = optimiser_of(first)
    train(first, optimiser, module, range(3))
    file = io.BytesIO()
    torch.save({"method": first.state_dict(), "optimiser": optimiser.state_dict()}, file)

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = build(module, seed=99)
    resumed.load_state_dict(saved["method"])
    optimiser = optimiser_of(resumed)
    optimiser.load_state_dict(saved["optimiser"])
    assert train(resumed, optimiser, module, range(3, 6)) == losses[3:]
    for (name, value), expected in zip(
        resumed.state_dict().items(), straight.state_dict().values(), strict=True
    ):
        assert torch.equal(value, expected), name


@each_trained
def test_a_step_that_is_thrown_away_leaves_no_trace_but_batch_statistics(
    module: ModuleType,
) -> None:
    """The loop may skip a step whose loss is not finite, after the forward pass.

    The forward pass alone must change nothing but the statistics of BatchNorm.
    """
    built = build(module)
    before = {name: value.clone() for name, value in built.state_dict().items()}
    built(batch_at(module, 0), 0)
    for name, value in built.state_dict().items():
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert torch.equal(value, before[name]), name


# Slow copies.


def test_which_methods_have_a_slow_copy() -> None:
    assert {name for name in TRAINED if slow_copies(build(MODULES[name]))} == {"byol", "clustering"}


@pytest.mark.parametrize("name", ["byol", "clustering"])
def test_slow_copy_follows_without_a_gradient(name: str) -> None:
    module = MODULES[name]
    built = build(module, momentum=0.9)
    (teacher,) = slow_copies(built)
    network = teacher.networks[0]  # the copy of the encoder
    assert network is not built.encoder
    for value, source in zip(
        network.state_dict().values(), built.encoder.state_dict().values(), strict=True
    ):
        assert torch.equal(value, source)
        assert value.data_ptr() != source.data_ptr()

    optimiser = optimiser_of(built)
    built(batch_at(module, 0), 0).total.backward()
    assert all(value.grad is None and not value.requires_grad for value in teacher.parameters())
    assert sum(value.requires_grad for value in built.parameters()) == len(
        optimiser.param_groups[0]["params"]
    )
    optimiser.step()
    before = [value.clone() for value in network.parameters()]
    built.after_step(0)
    for value, old, source in zip(
        network.parameters(), before, built.encoder.parameters(), strict=True
    ):
        assert not torch.equal(value, old)
        torch.testing.assert_close(value, 0.9 * old + 0.1 * source)
    buffers = list(zip(network.buffers(), built.encoder.buffers(), strict=True))
    assert len(buffers) == 6
    assert all(torch.equal(value, source) for value, source in buffers)
    assert all(value.data_ptr() != source.data_ptr() for value, source in buffers)
    # Running means that were never updated would agree too.
    assert next(value for value in network.buffers()).any()


def test_slow_copy_takes_over_buffers_that_its_own_pass_does_not_update() -> None:
    source: Any = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    teacher: Any = heads.SlowCopy(source)
    source(torch.randn(8, 3) + 5)
    teacher.follow(source, momentum=1.0)
    assert torch.equal(teacher.networks[0][0].running_mean, source[0].running_mean)
    assert teacher.networks[0][0].num_batches_tracked == 1
    with pytest.raises(ValueError, match="argument"):
        teacher.follow(source, source, momentum=1.0)


def test_schedules_are_functions_of_the_step() -> None:
    momenta = [heads.momentum_at(step, steps=100, start=0.9) for step in range(100)]
    assert momenta[0] == pytest.approx(0.9)
    assert momenta[-1] == 1
    assert momenta == sorted(momenta)
    assert heads.momentum_at(0, steps=1, start=0.9) == 1

    clustering = MODULES["clustering"]
    settings = clustering.Settings(warmup_fraction=0.2)
    temperatures = [
        clustering.teacher_temperature_at(step, steps=100, settings=settings) for step in range(100)
    ]
    assert temperatures[0] == 0.02
    assert temperatures[10] == pytest.approx(0.03)
    assert set(temperatures[20:]) == {0.04}
    never = clustering.Settings(warmup_fraction=0)
    assert clustering.teacher_temperature_at(0, steps=100, settings=never) == 0.04


def test_clustering_freezes_prototypes_and_moves_the_centre() -> None:
    module = MODULES["clustering"]
    built: Any = build(module, freeze_fraction=0.25)  # two of eight steps
    for step in range(4):
        built.zero_grad()
        built(batch_at(module, step), step).total.backward()
        gradient = built.head.prototypes.grad
        assert isinstance(gradient, Tensor)
        assert bool(gradient.any()) == (step >= 2), step
    centre = built.centre.value.clone()
    assert not centre.any()
    teachers = torch.stack([built.teacher(view) for view in batch_at(module, 3).views])
    built.after_step(3)
    torch.testing.assert_close(built.centre.value, 0.1 * teachers.mean(dim=(0, 1), keepdim=True))
    assert "centre.center" in built.state_dict()


def test_clustering_offers_deezers_head() -> None:
    module = MODULES["clustering"]
    built: Any = build(module, normalise=False)
    kinds = [type(part).__name__ for part in built.head.modules()]
    assert kinds.count("BatchNorm1d") == kinds.count("ReLU") == 3
    assert build(module, normalise=False)(batch_at(module, 4), 4).total.isfinite()
    usual: Any = build(module)
    assert "BatchNorm1d" not in [type(part).__name__ for part in usual.head.modules()]


# Untrained methods and mistakes in use.


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(TRAINED)))
def test_untrained_methods_say_so(name: str) -> None:
    module = MODULES[name]
    with pytest.raises(NotImplementedError, match=name):
        build(module)(batch_at(module, 0), 0)


def test_supervised_says_what_is_missing() -> None:
    module = MODULES["supervised"]
    with pytest.raises(ValueError, match="outputs is 0"):
        module.Method(Encoder(), WIDTH, module.Settings(), method.Task(steps=1, batch_size=2))
    with pytest.raises(ValueError, match="without labels"):
        build(module)(method.Batch(views=batch_at(module, 0).views), 0)


# Settings.


@each
def test_settings_are_frozen_documented_and_refuse_what_they_do_not_know(
    module: ModuleType,
) -> None:
    settings = module.Settings()
    with pytest.raises(pydantic.ValidationError, match="Extra inputs"):
        module.Settings(no_such_setting=1)
    for name in module.Settings.model_fields:
        with pytest.raises(pydantic.ValidationError, match="frozen"):
            setattr(settings, name, getattr(settings, name))
        assert f"        {name}: " in (module.Settings.__doc__ or ""), (
            f"{name} is not documented under Attributes"
        )
    assert module.Settings(**settings.model_dump()) == settings


def beyond(field: pydantic.fields.FieldInfo, kind: type, bound: str, step: int) -> list[Any]:
    """Values just outside the bounds of a kind that a field has."""
    return [getattr(mark, bound) + step for mark in field.metadata if isinstance(mark, kind)]


@each
def test_settings_are_bounded(module: ModuleType) -> None:
    for name, field in module.Settings.model_fields.items():
        if field.annotation not in (int, float):
            continue
        outside = beyond(field, Ge, "ge", -1) + beyond(field, Gt, "gt", 0)
        assert outside, f"{name} has no lower bound"
        outside += beyond(field, Le, "le", 1) + beyond(field, Lt, "lt", 0)
        for value in [*outside, -1, "many", float("nan"), float("inf")]:
            with pytest.raises(pydantic.ValidationError, match=name):
                module.Settings(**{name: value})


def test_teacher_temperature_must_not_fall() -> None:
    with pytest.raises(pydantic.ValidationError, match="must not exceed"):
        MODULES["clustering"].Settings(teacher_temperature_start=0.07)


# The file itself.


@each
def test_file_says_what_it_is_in_literals(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    first, _, rest = (ast.get_docstring(tree) or "").partition("\n")
    assert first.endswith(".")
    assert len(first) <= 117
    assert rest.startswith("\n")
    assert "numbers" in rest.lower(), "the docstring says which numbers differ from the paper"
    constants: dict[str, Any] = {}
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id.isupper()
        ):
            constants[node.targets[0].id] = ast.literal_eval(node.value)
    assert {"PAPER", "COST"} <= set(constants) <= set(CONSTANTS)
    assert all(type(value) is CONSTANTS[name] for name, value in constants.items())
    assert all(constants[name] for name in ("PAPER", "COST"))


def imports(tree: ast.AST) -> set[str]:
    """Modules that are imported; `from bench import method` is bench.method."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "no relative imports: files are loaded by name"
            whole = node.module == "bench"
            found |= (
                {f"bench.{alias.name}" for alias in node.names} if whole else {str(node.module)}
            )
    return found


@each
def test_file_imports_only_what_a_method_may(module: ModuleType) -> None:
    found = imports(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")))
    ours = {name for name in found if name.partition(".")[0] in ("bench", "methods", "datasets")}
    assert ours <= {"bench.method", "bench.heads"}
    others = {name.partition(".")[0] for name in found - ours}
    assert others <= {"torch", "pydantic", "lightly", *sys.stdlib_module_names}


@each
def test_file_keeps_to_the_contract(module: ModuleType) -> None:
    assert issubclass(module.Settings, method.Settings)
    assert issubclass(module.Method, method.Method)
    assert (module.Settings, module.Method) != (method.Settings, method.Method)
    built = build(module)
    assert isinstance(built.encoder, Encoder)
    assert built.settings == small(module)
    # Parameters are registered once: a second name for the encoder would be saved and counted
    # twice.
    names = list(built.state_dict())
    addresses = [value.data_ptr() for value in built.state_dict().values()]
    assert len(set(addresses)) == len(names)


# More than one process.

SHARE = """
from importlib import import_module
import torch
from bench import method

CHANGES = {  # without BatchNorm, whose statistics over processes are the loop's business
    "simclr": {"hidden": 16, "output": 8, "batch_norm": False},
    "barlow_twins": {"output": 8, "layers": 1},
    "vicreg": {"output": 8, "layers": 1},
    "clustering": {"hidden": 16, "bottleneck": 8, "prototypes": 16, "freeze_fraction": 0},
}

def share(tracks):
    results = {}
    for name, settings in CHANGES.items():
        module = import_module(f"bench.methods.{name}")
        torch.manual_seed(0)
        views = torch.randn(2, 10, 6) + torch.randn(10, 6)
        task = method.Task(steps=9, batch_size=10)
        built = module.Method(torch.nn.Linear(6, 5), 5, module.Settings(**settings), task)
        built(method.Batch(views=tuple(views[:, tracks])), 0).total.backward()
        built.after_step(0)
        parameters = dict(built.named_parameters())
        gradients = {key: value.grad for key, value in parameters.items() if value.grad is not None}
        if torch.distributed.is_initialized():
            for value in gradients.values():  # what distributed data parallel does
                torch.distributed.all_reduce(value)
                value /= torch.distributed.get_world_size()
        results[name] = {**gradients, **dict(built.named_buffers())}
    return results
"""

PROCESS = """
import os, sys
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
meeting = f"file://{folder}/meeting"
torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
torch.save(share(slice(5 * rank, 5 * rank + 5)), f"{folder}/{rank}.pt")
torch.distributed.barrier()  # who leaves first would close connections under the other
torch.distributed.destroy_process_group()
os._exit(0)  # gloo does not join its threads: if one still runs, a plain exit may end in an abort
"""


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
def test_two_processes_have_the_gradient_of_one(tmp_path: Path) -> None:
    root = str(Path(str(method.__file__)).parents[1])
    command = [sys.executable, "-c", SHARE + PROCESS]
    processes = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], cwd=root) for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    here: dict[str, Any] = {}
    exec(SHARE, here)  # the same text as in the other processes
    for name, values in here["share"](slice(None)).items():
        for rank in range(2):
            theirs = torch.load(tmp_path / f"{rank}.pt", weights_only=True)[name]
            assert values
            assert set(values) == set(theirs)
            for key, value in values.items():
                torch.testing.assert_close(theirs[key], value, rtol=1e-4, atol=1e-5)
