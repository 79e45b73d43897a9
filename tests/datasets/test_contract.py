"""What holds for every data set: its manifest, its constants, and the messages on wrong roots."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from bench.core import registry
from bench.data.manifest import SPLITS
from bench.data.prepared import open_prepared
from bench.stages.prepare.store import prepare
from tests.conftest import RATE
from tests.datasets.reading import (
    Change,
    read,
    require_refused,
)
from tests.fake_datasets import TREES

CASES = [(name, settings) for name, (_, several) in TREES.items() for settings in several]
GROUP_PURE = ("magnatagatune", "jamendo", "gtzan", "fma")


def test_every_data_set_with_files_has_a_fake_tree():
    with_files = {
        name
        for name in registry.names("datasets")
        if not registry.describe("datasets", name).get("GENERATED")
    }
    assert with_files == set(TREES)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_manifests_keep_the_contract(trees, name, settings):
    made = read(name, trees[name], **settings)
    tracks = made.tracks
    assert len(tracks)
    assert tracks["track_id"].is_unique
    assert set(tracks["split"]) <= {*SPLITS, ""}
    assert {tag for several in tracks["tags"] for tag in several} <= set(made.tags)
    assert len(set(made.tags)) == len(made.tags)
    assert all(len(several) == len(set(several)) for several in tracks["tags"])
    assert made.kind == "tags" or all(len(several) == 1 for several in tracks["tags"])
    assert all(isinstance(group, str) and group for group in tracks["group"])
    assert all(isinstance(path, str) and not path.startswith("/") for path in tracks["path"])
    absent = sum(not (trees[name] / path).is_file() for path in tracks["path"])
    assert (f"{absent} of {len(tracks)} audio files are not there" in " ".join(made.notes)) == (
        absent > 0
    )
    if name in GROUP_PURE:
        assert (tracks.groupby("group")["split"].nunique() == 1).all()
    assert made.split_name
    assert not set(made.split_name) & set("/\\ ")


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_manifests_are_the_same_each_time(trees, name, settings):
    first, second = read(name, trees[name], **settings), read(name, trees[name], **settings)
    assert first.tracks.equals(second.tracks)
    assert (first.tags, first.kind, first.split_name, first.notes) == (
        second.tags,
        second.kind,
        second.split_name,
        second.notes,
    )


@pytest.mark.parametrize("name", list(TREES))
def test_trees_are_prepared_and_what_is_missing_is_listed(trees, name, tmp_path):
    made = read(name, trees[name], **TREES[name][1][0])
    if name == "gtzan":  # without the nine hundred that the tree lacks
        there = [(trees[name] / path).exists() for path in made.tracks["path"]]
        made = dataclasses.replace(made, tracks=made.tracks[there].reset_index(drop=True))
    prepare(made, trees[name], RATE, tmp_path, lambda done, total: None)
    opened = open_prepared(tmp_path)
    left_out = {path.split(": ")[0] for path in opened.facts["left_out"]}
    unreadable = {"gtzan": {"genres/jazz/jazz.00054.au"}, "folder": {"a/empty.wav"}}.get(
        name, set()
    )
    absent = {path for path in made.tracks["path"] if not (trees[name] / path).exists()}
    assert left_out == absent | unreadable
    assert opened.labels.shape == (len(made.tracks) - len(left_out), len(made.tags))
    assert opened.facts["notes"] == list(made.notes)


@pytest.mark.parametrize("name", list(TREES))
def test_constants_say_what_a_user_needs(name):
    module = registry.load("datasets", name)
    about = registry.describe("datasets", name)
    assert {"PAPER", "COST", "HOMEPAGE", "LICENCE", "CITATION", "PUBLISHED", "PUBLISHED_IN"} <= set(
        about
    )
    assert module.FILES or about["INSTRUCTIONS"]
    names = [file.name for file in module.FILES]
    assert len(set(names)) == len(names)
    for file in module.FILES:
        assert file.url.startswith("http")
        assert not Path(file.name).is_absolute()
        assert not file.listed_in or file.listed_in in names
        kind, _, digest = file.checksum.partition(":")
        assert not kind or len(digest) == {"md5": 32, "sha1": 40, "sha256": 64}[kind]
    for _, settings in (case for case in CASES if case[0] == name):
        if hasattr(module, "files"):
            wanted = module.files(module.Settings(**settings))
            assert set(wanted) <= set(module.FILES)
    for numbers in about["PUBLISHED"].values():
        assert set(numbers) == {*SPLITS, "tags"}
    assert "root" not in module.Settings.model_fields


def emptied(root: Path) -> Path:
    shutil.rmtree(root)
    root.mkdir()
    return root


WRONG: list[tuple[str, Change, str]] = [
    *((name, emptied, "it is empty") for name in TREES),
    *((name, lambda root: root / "nowhere", "there is no such folder") for name in TREES),
    *(
        (name, lambda root: root.parent, f"/{name} has it: give that folder")
        for name in TREES
        if name not in ("folder",)
    ),
]


@pytest.mark.parametrize(("name", "change", "message"), WRONG)
def test_wrong_roots_are_told_what_was_looked_for_and_what_is_there(
    tmp_path, name, change, message
):
    require_refused(name, change, message, tmp_path)
