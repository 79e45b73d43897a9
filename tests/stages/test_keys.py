"""Keys follow from the code: each module that a stage uses changes its key, words change none."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bench
from bench.core import registry
from bench.core.code import code_digest, modules_of
from bench.core.store import Store
from bench.settings.resolve import Request, resolve
from bench.stages import keys as module
from bench.stages.keys import Keys
from bench.stages.prepare import reuse

ROOT = Path(bench.__file__).resolve().parents[1]
STAGES = ("prepare", "pretrain", "embed", "probe", "cell")
FOLDERS = {
    "prepare": ("bench.stages.prepare",),
    "pretrain": ("bench.stages.pretrain", "bench.methods.simclr", "bench.encoders.resnet_small"),
    "embed": ("bench.stages.embed",),
    "probe": ("bench.stages.probe",),
    "cell": ("bench.stages.score", "bench.stages.result"),
}
NOT_USED = {
    "pretrain": ("bench.stages.pretrain.validation",),
    "probe": ("bench.stages.probe.finetune",),
}
"""What simclr with a linear probe does not run: stopping by the valid split, and fine-tuning."""


class Checkout:
    """A copy of the checkout, whose files may be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        place = self.folder.joinpath(*name.split("."))
        if name.startswith(("bench.methods", "bench.datasets")):
            place = self.folder.joinpath(*name.split(".")[1:])
        module = place.with_suffix(".py")
        return module if module.is_file() else place / "__init__.py"

    def keys(self, method: str = "simclr", probe: str = "linear") -> dict[str, str]:
        """The keys of a cell, as the code in this checkout gives them."""
        overrides = {"probe": {"kind": probe}}
        keys = Keys(resolve(Request(method, 0.1, overrides=overrides)), Store(Path("nowhere")))
        keys.data = keys.pretrain_data = "0" * 16
        return {stage: str(getattr(keys, stage)) for stage in STAGES}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("bench", "methods", "datasets"):
        ignored = shutil.ignore_patterns("__pycache__", "*.css", "*.js", "*.html")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


@pytest.fixture
def checkout(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    monkeypatch.setattr(bench, "__path__", [str(copied / "bench"), str(copied)])
    registry._all.cache_clear()
    yield Checkout(copied)
    registry._all.cache_clear()


@pytest.fixture
def edit(checkout: Checkout) -> Iterator[Callable[[str, str, str], None]]:
    """Replaces text in a module until the test ends; all of it that stands once."""
    originals: dict[Path, str] = {}

    def replace(name: str, before: str, after: str) -> None:
        path = checkout.path(name)
        text = path.read_text(encoding="utf-8")
        originals.setdefault(path, text)
        assert before in text, f"{name} has no {before!r}: has the code that it stands for moved?"
        path.write_text(text.replace(before, after, 1), encoding="utf-8")

    yield replace
    for path, text in originals.items():
        path.write_text(text, encoding="utf-8")


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {stage for stage in STAGES if before[stage] != after[stage]}


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_that_a_stage_uses_changes_its_key(checkout: Checkout, stage: str) -> None:
    before = checkout.keys()
    reached = modules_of(*FOLDERS[stage], without=NOT_USED.get(stage, ()))
    assert len(reached) > 8
    for name in reached:
        path = checkout.path(name)
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "\n_A_CONSTANT_OF_A_TEST = 1\n", encoding="utf-8")
        try:
            assert stage in changed(before, checkout.keys()), name
        finally:
            path.write_text(text, encoding="utf-8")
    assert checkout.keys() == before


@pytest.mark.parametrize("stage", STAGES)
def test_words_and_imports_of_every_module_change_no_key(checkout: Checkout, stage: str) -> None:
    before = checkout.keys()
    for name in modules_of(*FOLDERS[stage]):
        path = checkout.path(name)
        text = path.read_text(encoding="utf-8")
        end = re.match(r'r?""".*?"""\n', text, re.DOTALL)
        rest = text[end.end() :] if end else text
        reworded = re.sub(r'InputError\(\s*f?"[^"]*"\s*\)', 'InputError("other words")', rest)
        other = f'"""Another first line."""\n\nimport antigravity\n{reworded}\n# the end\n'
        path.write_text(other, encoding="utf-8")
        try:
            assert changed(before, checkout.keys()) == set(), name
        finally:
            path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "before", "after", "stages"),
    [
        # What decides the number of steps, the tracks, the samples of a view.
        ("bench.stages.pretrain.schedule", "train.epochs * max(1", "train.epochs * max(2",
         {"pretrain"}),
        ("bench.stages.pretrain.stage", "rows = audio.rows(spec.views.splits)",
         'rows = audio.rows("all")', {"pretrain"}),
        ("bench.data.prepared", 'split == "all"', 'split != "train"', {"pretrain", "embed"}),
        # The order in which augmentations are applied.
        ("bench.settings.augmentations", '"polarity"', '"noise_again"', {"pretrain"}),
        # What the probes are chosen by, and what scores are.
        ("bench.statistics.metrics", "def mean_average_precision(",
         "_EPSILON = 1e-3\n\n\ndef mean_average_precision(", {"probe"}),
        # What is written of a cell.
        ("bench.stages.result", '"chosen_on": "valid split, macro average precision"',
         '"chosen_on": "valid split"', {"cell"}),
        # How tables of tracks are read, and what random numbers are.
        ("bench.data.manifest", "def read_table(", "_MORE = 1\n\n\ndef read_table(", {"prepare"}),
        ("bench.core.randomness", "\ndef ", "\n_MORE = 1\n\n\ndef ", {"prepare", "pretrain"}),
        ("bench.data.decode", "_SILENT_PEAK = 2.0**-15", "_SILENT_PEAK = 2.0**-14", {"prepare"}),
        ("bench.methods.simclr", "class Method", "_MORE = 1\n\n\nclass Method", {"pretrain"}),
        ("bench.heads", "\ndef ", "\n_MORE = 1\n\n\ndef ", {"pretrain"}),
    ],
)  # fmt: skip
def test_what_was_in_no_list(
    checkout: Checkout, edit: Callable[[str, str, str], None], name: str, before: str, after: str,
    stages: set[str],
) -> None:  # fmt: skip
    keys = checkout.keys()
    edit(name, before, after)
    assert stages <= changed(keys, checkout.keys())


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("bench.stages.words", '"pretrain {method}"', '"train {method}"'),
        ("bench.stages.words", "batch of {asked} cut", "batches of {asked} are cut"),
        ("bench.stages.words", '"cpu (', '"CPU ('),
        ("bench.stages.prepare.words", "files left out", "files were left out"),
        ("bench.core.progress", " s left", " seconds left"),
        ("bench.stages.prepare.stage", 'progress(f"prepare {', 'progress(f"now preparing {'),
        ("bench.stages.run", "Read from top to bottom.", "Read it."),
        ("bench.methods.simclr", 'PAPER = "', 'PAPER = "the famous '),
    ],
)
def test_titles_and_names_of_devices_train_nothing_anew(
    checkout: Checkout, edit: Callable[[str, str, str], None], name: str, before: str, after: str
) -> None:
    keys = checkout.keys()
    edit(name, before, after)
    assert changed(keys, checkout.keys()) == set()


def test_the_look_at_the_valid_split_is_the_business_of_supervised_training(
    checkout: Checkout, edit: Callable[[str, str, str], None]
) -> None:
    simclr, supervised = checkout.keys(), checkout.keys("supervised")
    edit("bench.statistics.metrics", "def one_vs_rest(", "_MORE = 1\n\n\ndef one_vs_rest(")
    assert "pretrain" not in changed(simclr, checkout.keys())
    assert "pretrain" in changed(supervised, checkout.keys("supervised"))


def test_fine_tuning_depends_on_the_code_that_trains(
    checkout: Checkout, edit: Callable[[str, str, str], None]
) -> None:
    name = "bench.stages.probe.finetune"
    linear, tuned = checkout.keys(), checkout.keys(probe="finetune")
    edit(name, "def finetune(", "_MORE = 1\n\n\ndef finetune(")
    assert changed(linear, checkout.keys()) == set()
    assert changed(tuned, checkout.keys(probe="finetune")) == {"probe", "cell"}


def test_samples_of_other_code_are_not_copied(
    checkout: Checkout, edit: Callable[[str, str, str], None]
) -> None:
    reuse.decoding.cache_clear()
    before = reuse.decoding()
    edit("bench.data.audio_files", "\ndef ", "\n_MORE = 1\n\n\ndef ")
    reuse.decoding.cache_clear()
    assert reuse.decoding() != before
    reuse.decoding.cache_clear()


def test_degraded_tracks_are_embedded_by_the_code_that_embeds_clean_ones(
    checkout: Checkout, edit: Callable[[str, str, str], None]
) -> None:
    before = code_digest("bench.stages.degraded")
    edit("bench.stages.embed.segments", "\ndef ", "\n_MORE = 1\n\n\ndef ")
    assert code_digest("bench.stages.degraded") != before


def test_a_manifest_changes_with_what_reads_it(
    checkout: Checkout, edit: Callable[[str, str, str], None]
) -> None:
    before = {name: code_digest(f"bench.datasets.{name}") for name in registry.names("datasets")}
    edit("bench.data.manifest", "def read_table(", "_MORE = 1\n\n\ndef read_table(")
    for name, digest in before.items():
        assert code_digest(f"bench.datasets.{name}") != digest, name


def test_settings_keep_the_order_that_matters(checkout: Checkout) -> None:
    """A chain of augmentations is applied in an order of the code; a grid is one of settings."""
    spec = resolve(Request("simclr", 0.1))
    rates = {"learning_rates": tuple(reversed(spec.probe.learning_rates))}
    turned = spec.model_copy(update={"probe": spec.probe.model_copy(update=rates)})
    store = Store(Path("nowhere"))
    found = []
    for one in (spec, turned):
        keys = Keys(one, store)
        keys.data = keys.pretrain_data = "0" * 16
        found.append(keys.probe)
    assert found[0] != found[1]


def test_keys_beside_each_other_are_those_of_each_cell(checkout: Checkout) -> None:
    store = Store(Path("nowhere"))
    first = Keys(resolve(Request("simclr", 0.1)), store)
    first.data = first.pretrain_data = "0" * 16
    for request in (Request("simclr", 0.2, draw=1), Request("simclr", 0.1, seed=1)):
        spec = resolve(request)
        alone = Keys(spec, store)
        alone.data = alone.pretrain_data = "0" * 16
        beside = first.beside(spec) if request.seed == 0 else first.other_seed(spec)
        for stage in STAGES:
            assert getattr(beside, stage) == getattr(alone, stage), stage
    assert module.cell_key(first.probe, resolve(Request("simclr", 0.1)).score) == first.cell
