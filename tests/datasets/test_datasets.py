"""The data sets' modules on tiny trees of the real file layouts, and on the published lists where these are at hand."""

import ast
import csv
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.core import registry
from bench.core.errors import InputError
from bench.data.manifest import SPLITS, Manifest, find, read_table
from bench.data.prepared import open_prepared
from bench.stages.prepare.store import prepare
from tests import fake_datasets
from tests.conftest import RATE
from tests.fake_datasets import EMPTY, TREES

SHARED = Path(__file__).resolve().parents[3] / "shared" / "splits"
needs_lists = pytest.mark.skipif(not SHARED.is_dir(), reason="the published lists are not at hand")
CASES = [(name, settings) for name, (_, several) in TREES.items() for settings in several]
GROUP_PURE = ("magnatagatune", "jamendo", "gtzan", "fma")


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tree of each data set, not to be changed."""
    folder = tmp_path_factory.mktemp("datasets")
    return {name: make(folder / name) for name, (make, _) in TREES.items()}


def read(name: str, root: Path, **settings: object) -> Manifest:
    module = registry.load("datasets", name)
    calls: list[tuple[int, int]] = []
    made: Manifest = module.manifest(
        root, module.Settings(**settings), lambda done, total: calls.append((done, total))
    )
    assert calls
    assert calls[-1][0] == calls[-1][1]
    return made


def by_id(made: Manifest, column: str) -> dict[str, object]:
    return dict(zip(made.tracks["track_id"], made.tracks[column], strict=True))


def counts(made: Manifest) -> dict[str, int]:
    return {split: int((made.tracks["split"] == split).sum()) for split in SPLITS} | {
        "tags": len(made.tags)
    }


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


def test_magnatagatune_lee_and_pons_differ_in_untagged_and_empty_clips(trees):
    pons, lee = (
        read("magnatagatune", trees["magnatagatune"], split=split) for split in ("pons", "lee")
    )
    assert counts(pons) == {"train": 6, "valid": 2, "test": 4, "tags": 50}
    assert counts(lee) == {"train": 4, "valid": 1, "test": 3, "tags": 50}
    assert EMPTY in set(pons.tracks["path"]) - set(lee.tracks["path"])
    assert "3 clips without any of the 50 tags, 1 with an empty file" in lee.notes[0]
    assert by_id(pons, "tags")["14"] == ["rock", "metal", "female voice"]
    assert by_id(pons, "tags")["10"] == []
    about = pons.tracks.set_index("track_id").loc["2"]
    assert (about["title"], about["artist"], about["album"]) == (
        'Dance, "La Rotta"',
        "Ensemble A",
        "First",
    )
    assert (about["segment_start_seconds"], about["segment_end_seconds"]) == (0, 29)
    assert about["group"] == "Ensemble A / First"
    assert any("1 of 7 artists have tracks in more than one split" in note for note in pons.notes)


def test_magnatagatune_in_a_folder_called_mp3(tmp_path):
    root = fake_datasets.magnatagatune(tmp_path / "tree")
    (root / "mp3").mkdir()
    for folder in list(root.glob("?")):
        shutil.move(folder, root / "mp3")
    assert read("magnatagatune", root).tracks["path"].str.startswith("mp3/").all()


@pytest.mark.parametrize("task", ["top50", "genre", "instrument", "moodtheme"])
def test_jamendo_reads_lines_of_any_number_of_tags(trees, task):
    made = read("jamendo", trees["jamendo"], task=task)
    assert made.tags == tuple(
        sorted(fake_datasets.JAMENDO_TAGS[{"top50": "top50tags"}.get(task, task)])
    )
    assert counts(made) == {"train": 6, "valid": 3, "test": 3, "tags": len(made.tags)}
    assert made.tracks["tags"].map(len).max() == min(3, len(made.tags))
    assert by_id(made, "group")["track_0000214"] == "artist_000000"
    assert made.split_name == f"{task}-split-0"


def test_jamendo_of_low_bit_rate(trees, tmp_path):
    low = read("jamendo", trees["jamendo"], audio="low")
    assert low.tracks["path"][0] == "audio-low/14/214.low.mp3"
    root = fake_datasets.jamendo(tmp_path / "tree")
    shutil.rmtree(root / "audio")
    with pytest.raises(InputError, match="other distribution: set audio to 'low'"):
        read("jamendo", root)


@pytest.mark.parametrize(
    ("folder", "ending"),
    [("genres_original", ".wav"), ("Data/genres_original", ".wav"), ("", ".au")],
)
def test_gtzan_of_either_format(tmp_path, folder, ending):
    made = read("gtzan", fake_datasets.gtzan(tmp_path / "tree", folder, ending))
    assert counts(made) == {"train": 443, "valid": 197, "test": 290, "tags": 10}
    assert by_id(made, "path")["jazz.00054"] == f"{folder}/jazz/jazz.00054{ending}".lstrip("/")
    assert by_id(made, "tags")["pop.00010"] == ["pop"]
    assert "70 of the 1 000 excerpts" in made.notes[0]
    assert not {"blues.00099", "hiphop.00039"} <= set(made.tracks["track_id"])


def test_fma_sizes_and_tasks(trees):
    small = read("fma", trees["fma"])
    assert counts(small) == {"train": 3, "valid": 1, "test": 2, "tags": 2}
    assert small.tracks["path"][0] == "fma_small/000/000002.mp3"
    assert small.kind == "classes"
    large = read("fma", trees["fma"], size="large")
    assert "2 of 18 tracks have no single top-level genre and are left out" in large.notes
    several = read("fma", trees["fma"], size="large", task="tags")
    assert len(several.tracks) == 18
    assert several.tags == ("Blues", "Hip-Hop", "International", "Punk (25)", "Punk (811)", "Rock")
    assert by_id(several, "tags")["2993"] == ["Punk (25)", "Rock"]
    assert by_id(several, "artist")["2993"] == "Artist 1"
    assert "genres_all" not in several.tracks
    unlabelled = read("fma", trees["fma"], task="none")
    assert (unlabelled.tags, unlabelled.kind, unlabelled.split_name) == (
        (),
        "tags",
        "small-unlabelled",
    )


def test_fma_of_a_size_that_is_not_there(trees):
    with pytest.raises(
        InputError,
        match=r"000/000002\.mp3 and so on, in fma_full or .*it holds fma_large, fma_metadata, fma_small",
    ):
        read("fma", trees["fma"], size="full")


def test_msd_of_a_csv_and_of_lastfm_are_the_same(trees, tmp_path):
    of_csv = read("msd", trees["msd"])
    of_lastfm = read("msd", fake_datasets.msd(tmp_path / "tree", lastfm=True))
    assert of_csv.tracks.equals(of_lastfm.tracks)
    assert counts(of_csv) == {"train": 5, "valid": 3, "test": 3, "tags": 50}
    assert of_csv.tracks["tags"].tolist()[:3] == [["rock", "Mellow"], ["pop"], ["rock", "00s"]]
    assert of_csv.split_name.startswith("own-")
    assert of_csv.notes[:2] == (
        "1 of 12 tracks have no audio in paths.csv",
        "1 of 11 tracks have none of the 50 tags",
    )
    heavy = read("msd", tmp_path / "tree", least_weight=50)
    assert heavy.tracks["tags"].tolist()[:3] == [["rock"], ["pop"], ["rock"]]


def test_msd_lists_as_arrays_and_other_lists_as_another_split(trees, tmp_path):
    root = fake_datasets.msd(tmp_path / "tree")
    ids = (root / "train.txt").read_text().split()
    np.save(root / "filtered_list_train.npy", np.array(ids, "S18"))
    (root / "train.txt").unlink()
    assert read("msd", root).split_name == read("msd", trees["msd"]).split_name
    np.save(root / "filtered_list_train.npy", np.array(ids[1:]))
    assert read("msd", root).split_name != read("msd", trees["msd"]).split_name


def test_msd_published_lists_are_cut_and_called_lee(tmp_path):
    root = fake_datasets.msd(tmp_path / "tree")
    for path in (root / "train.txt", root / "valid.csv", root / "filtered_list_test.tsv"):
        path.unlink()
    ids = [f"TRAAAAA{number:011X}" for number in range(241_889)]
    (root / "filtered_list_train.txt").write_text("\n".join(ids[:213_454]))
    (root / "filtered_list_test.txt").write_text("\n".join(ids[213_454:]))
    audio = "previews/0/0.clip.mp3"
    rows = [f"{ids[place]},{audio}" for place in (0, 201_679, 201_680, 213_453, 213_454)]
    (root / "paths.csv").write_text("msd_id,path\n" + "\n".join(rows) + "\n")
    (root / "tags.csv").write_text(f"msd_id,tags\n{ids[0]},rock\n")
    made = read("msd", root)
    assert made.tracks["split"].tolist() == ["train", "train", "valid", "valid", "test"]
    assert made.split_name == "lee"
    assert any("the first 201680 of the 213454 train ids" in note for note in made.notes)


def test_folder_takes_every_format_once(trees):
    made = read("folder", trees["folder"])
    assert made.tracks["path"].tolist() == sorted(made.tracks["path"])
    assert len(made.tracks) == 12
    assert {"A/ONE.WAV", "a/été 2.Mp3", "top.flac", "several/3.opus"} <= set(made.tracks["path"])
    assert set(by_id(made, "group").values()) == {"A", "a", "several", "."}
    assert set(made.tracks["split"]) == {"train"}
    assert made.tags == ()
    assert "1 hidden files passed over" in made.notes
    assert "1 folders that links lead to a second time passed over" in made.notes


def test_folder_counts_names_that_no_table_can_hold(tmp_path):
    root = fake_datasets.folder(tmp_path / "tree")
    shutil.copy(root / "top.flac", os.fsencode(root) + b"/b\xe9b\xe9.flac")
    made = read("folder", root)
    assert len(made.tracks) == 12
    assert "1 files whose names are not in UTF-8 passed over" in made.notes


def remove(*names: str) -> Callable[[Path], Path]:
    """A root without some of its files."""

    def change(root: Path) -> Path:
        for name in names:
            for path in list(root.glob(name)):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return root

    return change


def rewrite(name: str, old: str, new: str) -> Callable[[Path], Path]:
    """A root with one of its tables changed."""

    def change(root: Path) -> Path:
        text = (root / name).read_bytes().decode()
        assert old in text
        (root / name).write_bytes(text.replace(old, new).encode())
        return root

    return change


def pickle_alone(root: Path) -> Path:
    (root / "train.txt").rename(root / "filtered_list_train.cP")
    return root


def emptied(root: Path) -> Path:
    shutil.rmtree(root)
    root.mkdir()
    return root


TSV = "data/splits/split-0/autotagging_top50tags-train.tsv"
WRONG: list[tuple[str, Callable[[Path], Path], str]] = [
    *((name, emptied, "it is empty") for name in TREES),
    *((name, lambda root: root / "nowhere", "there is no such folder") for name in TREES),
    *(
        (name, lambda root: root.parent, f"/{name} has it: give that folder")
        for name in TREES
        if name not in ("folder",)
    ),
    ("magnatagatune", lambda root: root / "0", "magnatagatune has it: give that folder"),
    (
        "magnatagatune",
        remove("clip_info_final.csv"),
        "no clip metadata; looked for clip_info_final.csv; it holds 0, 4",
    ),
    (
        "magnatagatune",
        remove("?"),
        "none of the 8 audio files; looked for 0/ens.*, in the root or mp3;",
    ),
    (
        "magnatagatune",
        rewrite("annotations_final.csv", '"guitar"', '"gitarre"'),
        "no column 'guitar'; needed: clip_id",
    ),
    (
        "magnatagatune",
        rewrite("annotations_final.csv", '"\t"', '","'),
        "no column 'clip_id', 'guitar'",
    ),
    (
        "magnatagatune",
        rewrite("annotations_final.csv", "4/band", "x/band"),
        "'x/band.*none of the folders 0 to f",
    ),
    (
        "magnatagatune",
        rewrite("annotations_final.csv", '"1"', '"yes"'),
        "clip 2, tag 'guitar': 'yes' is not 0 or 1",
    ),
    ("jamendo", lambda root: root / "data", "jamendo has it: give that folder"),
    (
        "jamendo",
        remove("audio*"),
        r"none of the 12 audio files; looked for 14/214\.mp3 and so on, in audio or raw_30s",
    ),
    (
        "jamendo",
        remove(TSV),
        r"no table; looked for autotagging_top50tags-train\.tsv in data/splits/split-0 or ",
    ),
    ("jamendo", rewrite(TSV, "PATH", "FILE"), "no column 'PATH'; needed: TRACK_ID"),
    ("jamendo", rewrite(TSV, "\t29.9", ""), "line 2: 5 values; the header has 6"),
    ("jamendo", rewrite(TSV, "track_0000267", "track_0000214"), "track_0000214 stands twice"),
    ("gtzan", lambda root: root / "genres" / "blues", "none of the 930 audio files"),
    (
        "gtzan",
        remove("genres"),
        "looked for blues/blues.00029.au or .wav and so on, in genres or genres_orig",
    ),
    (
        "fma",
        lambda root: root / "fma_metadata",
        r"none of the 6 audio files; .*; .*/fma has it: give that folder",
    ),
    (
        "fma",
        remove("fma_metadata"),
        "no metadata; looked for tracks.csv in fma_metadata or the root; it holds fma_large",
    ),
    (
        "fma",
        rewrite("fma_metadata/tracks.csv", "genre_top", "genre"),
        r"no column 'track\.genre_top'",
    ),
    (
        "fma",
        rewrite("fma_metadata/tracks.csv", "training", "train"),
        "track '2' has split 'train'; known: training",
    ),
    (
        "msd",
        remove("paths.csv"),
        "no table of audio files; looked for paths.csv; it holds filtered_list_test.tsv",
    ),
    ("msd", remove("tags.csv"), "no tags; looked for tags.csv or lastfm_tags.db"),
    ("msd", remove("previews"), "none of the 11 audio files; looked for previews/0/0"),
    ("msd", pickle_alone, r"filtered_list_train\.cP: a pickle, which runs code"),
    (
        "msd",
        rewrite("train.txt", "TRAAABL128F0000001", "another"),
        "'another' is not an id of the MSD",
    ),
    (
        "msd",
        rewrite("train.txt", "TRAAABL128F0000001", "TRAAAAK128F0000000"),
        "stands twice, in the train and the train",
    ),
    (
        "msd",
        rewrite("tags.csv", "msd_id,tags", "id,tags"),
        "no column 'msd_id'; needed: msd_id, tags; found: id, tags",
    ),
    ("folder", lambda root: root / "top.flac", "it is a file, not a folder"),
    (
        "folder",
        remove("[A-Za-z]*/*.[wWfompMa]*", "several", "A", "top.flac"),
        "no audio files .*; 3 files in it|no audio",
    ),
]


@pytest.mark.parametrize(("name", "change", "message"), WRONG)
def test_wrong_roots_are_told_what_was_looked_for_and_what_is_there(
    tmp_path, name, change, message
):
    root = change(TREES[name][0](tmp_path / name))
    with pytest.raises(InputError, match=message) as raised:
        read(name, root)
    assert "\n" not in str(raised.value)


def test_a_pickle_in_an_array_is_not_opened(tmp_path):
    root = fake_datasets.msd(tmp_path / "tree")
    (root / "train.txt").unlink()
    np.save(root / "train.npy", np.array(["TRAAAAK128F0000000"], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"train\.npy: cannot be read as a list of ids"):
        read("msd", root)


def test_tables_that_are_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="not a readable table in UTF-8"):
        read_table(tmp_path / "a.csv", ["a"])
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(InputError, match=r"no column 'a'.*an empty file"):
        read_table(tmp_path / "a.csv", ["a"])
    with pytest.raises(InputError, match=r"b\.csv: cannot be read"):
        read_table(tmp_path / "b.csv", ["a"])
    assert find(tmp_path, "table", "b.csv", "a.csv") == tmp_path / "a.csv"


def pons_lists() -> tuple[dict[str, str], dict[str, dict[str, list[float]]]]:
    """Clip id -> path, and clip id -> truth of the valid and test clips."""
    index = dict(
        line.split("\t") for line in (SHARED / "mtat/pons_index_mtt.tsv").read_text().splitlines()
    )
    truth = {}
    for split, name in (("valid", "val"), ("test", "test")):
        lines = (SHARED / f"mtat/pons_{name}_gt_mtt.tsv").read_text().splitlines()
        truth[split] = {
            clip: ast.literal_eval(given) for clip, given in (line.split("\t") for line in lines)
        }
    return index, truth


@needs_lists
def test_magnatagatune_has_the_published_lists_and_tag_orders(tmp_path):
    module = registry.load("datasets", "magnatagatune")
    index, truth = pons_lists()
    text = (SHARED / "mtat/pons_output_labels_mtt.txt").read_text()
    assert list(module.TAGS) == ast.literal_eval(text.partition("=")[2].strip())
    lee_train = set((SHARED / "mtat/lee_train.txt").read_text().split())
    known = truth["valid"] | truth["test"]
    empty = {path for path in index.values() if path in module._EMPTY}
    assert len(empty) == 3
    with open(tmp_path / "annotations_final.csv", "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writerow(["clip_id", *module.TAGS, "mp3_path"])
        for clip, path in index.items():
            # The labels of the train clips are not at hand, so one tag stands for any; the empty
            # ones have some, too.
            guess = [int(path in lee_train or path in empty), *[0] * 49]
            writer.writerow([clip, *(int(value) for value in known.get(clip, guess)), path])
    (tmp_path / "clip_info_final.csv").write_text("\t".join(fake_datasets.CLIP_INFO) + "\n")
    (tmp_path / "f").mkdir()
    (tmp_path / index["2"]).touch()
    pons, lee = (read("magnatagatune", tmp_path, split=split) for split in ("pons", "lee"))
    for made in (pons, lee):
        assert counts(made) == module.PUBLISHED[made.split_name]
    for split in ("valid", "test"):
        assert set(pons.tracks["track_id"][pons.tracks["split"] == split]) == set(truth[split])
    lee_tags = (SHARED / "mtat/lee_tags.txt").read_text().split()
    assert [tag.replace(" ", "").lower() for tag in lee.tags] == [tag.lower() for tag in lee_tags]
    for split in SPLITS:
        listed = (SHARED / f"mtat/lee_{split}.txt").read_text().split()
        rows = lee.tracks[lee.tracks["split"] == split].set_index("path")
        assert set(rows.index) == set(listed)
        if split != "train":
            labels = np.array(
                [[tag in several for tag in lee.tags] for several in rows["tags"][listed]]
            )
            assert np.array_equal(labels, np.load(SHARED / f"mtat/lee_y_{split}.npz")["y"])


@needs_lists
def test_no_album_of_magnatagatune_crosses_the_split_and_artists_do():
    """Of names of files: artist, album, number and title, with hyphens between."""
    split_of = registry.load("datasets", "magnatagatune")._SPLIT_OF_FOLDER
    crossing: dict[int, dict[tuple[str, ...], set[str]]] = {1: {}, 2: {}}
    for path in pons_lists()[0].values():
        for parts, seen in crossing.items():
            seen.setdefault(tuple(path[2:].split("-")[:parts]), set()).add(split_of[path[0]])
    assert sum(len(splits) > 1 for splits in crossing[1].values()) > 50
    assert sum(len(splits) > 1 for splits in crossing[2].values()) == 0


@needs_lists
@pytest.mark.parametrize("task", ["top50", "genre", "instrument", "moodtheme"])
def test_jamendo_has_the_published_counts_and_tags(tmp_path, task):
    module = registry.load("datasets", "jamendo")
    folder = tmp_path / "data/splits/split-0"
    folder.mkdir(parents=True)
    for path in (SHARED / "jamendo").glob(f"autotagging_{module._TASKS[task]}-*.tsv"):
        (folder / path.name).symlink_to(path)
    first = (
        (folder / f"autotagging_{module._TASKS[task]}-train.tsv")
        .read_text()
        .splitlines()[1]
        .split("\t")[3]
    )
    (tmp_path / "audio" / first).parent.mkdir(parents=True)
    (tmp_path / "audio" / first).touch()
    made = read("jamendo", tmp_path, task=task)
    assert counts(made) == module.PUBLISHED[made.split_name]
    assert (made.tracks.groupby("group")["split"].nunique() == 1).all()
    listed = {"top50": "tags_top50.txt", "moodtheme": "tags_moodtheme_split.txt"}
    if task in listed:
        assert list(made.tags) == (SHARED / "jamendo" / listed[task]).read_text().split()


@needs_lists
def test_gtzan_has_the_published_lists(trees):
    made = read("gtzan", trees["gtzan"])
    assert counts(made) == registry.load("datasets", "gtzan").PUBLISHED["fault-filtered"]
    for split in SPLITS:
        listed = {
            Path(line).stem for line in (SHARED / f"gtzan/{split}_filtered.txt").read_text().split()
        }
        assert set(made.tracks["track_id"][made.tracks["split"] == split]) == listed


@needs_lists
def test_msd_has_the_published_tags():
    assert (
        list(registry.load("datasets", "msd").TAGS)
        == (SHARED / "msd/50tagList.txt").read_text().splitlines()
    )


GTZAN_DIGESTS = {
    "train": "82df3d4426e1dc8a",
    "valid": "049e4ab67938aa22",
    "test": "54cd6cf4ad283da2",
}


def test_gtzan_lists_have_the_digests_of_the_published_ones(trees):
    """For where the lists themselves are not at hand."""
    tracks = read("gtzan", trees["gtzan"]).tracks
    for split, digest in GTZAN_DIGESTS.items():
        ids = "\n".join(sorted(tracks["track_id"][tracks["split"] == split]))
        assert hashlib.sha256(ids.encode()).hexdigest().startswith(digest)
