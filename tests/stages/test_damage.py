"""Damaged products: every file of every product, damaged in every way, is named and made again."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import results
from bench.core.digests import NOTE
from bench.core.store import Store, damage_of
from tests.conftest import TINY, make_tones

STAGES = ("prepared", "pretrained", "embedded", "probed")
RUN = ["run", "--method", "vicreg", "--dataset", "tones/tracks.csv", "--train.steps", "2", *TINY]
Damage = Callable[[Path], None]


def zeroed(path: Path) -> None:
    """A block of a disk that came back empty; in a file of zeros, of ones."""
    content = bytearray(path.read_bytes())
    start, end = len(content) // 3, min(len(content), len(content) // 3 + 4096)
    block = bytes(end - start)
    content[start:end] = block if content[start:end] != block else b"\xff" * len(block)
    path.write_bytes(content)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 16)


def deleted(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    """By another file of the same length, such as that of another product."""
    path.write_bytes(bytes(reversed(path.read_bytes())))


DAMAGES = (zeroed, flipped, cut, emptied, lengthened, deleted, replaced)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a computed cell."""
    from bench.cli.main import main as command

    folder = tmp_path_factory.mktemp("damage")
    make_tones(folder / "tones", kind="tags")
    tracks = RUN.index("tones/tracks.csv")
    run = [*RUN[:tracks], str(folder / "tones/tracks.csv"), *RUN[tracks + 1 :]]
    with pytest.raises(SystemExit) as ended:
        command([*run, "--home", str(folder / ".bench"), "--results", str(folder / "results")])
    assert not ended.value.code
    return folder


def products(home: Path) -> Iterator[Path]:
    for stage in STAGES:
        (folder,) = (path for path in (home / stage).iterdir() if path.is_dir())
        yield folder


def largest_of(product: Path) -> Path:
    files = (path for path in product.iterdir() if path.suffix != ".json")
    return max(files, key=lambda path: path.stat().st_size)


def test_every_damage_of_every_file_is_named(computed: Path, tmp_path: Path) -> None:
    seen = 0
    for product in products(computed / ".bench"):
        assert damage_of(product) == ""
        for original in sorted(path for path in product.rglob("*") if path.name != NOTE):
            name = original.relative_to(product)
            for damage in DAMAGES:
                copy = tmp_path / "copy"
                shutil.copytree(product, copy)
                assert damage_of(copy) == ""
                damage(copy / name)
                if (copy / name).is_file() and (copy / name).read_bytes() == original.read_bytes():
                    raise AssertionError(f"{damage.__name__} changes nothing of {name}")
                wrong = damage_of(copy)
                assert str(name) in wrong, f"{name} {damage.__name__}: {wrong!r}"
                shutil.rmtree(copy)
                seen += 1
    assert seen > 100


@pytest.mark.parametrize(
    ("stage", "damage"), list(zip(STAGES, (flipped, zeroed, cut, deleted), strict=True))
)
def test_the_same_command_makes_it_again(
    main: Any, computed: Path, tmp_path: Path, stage: str, damage: Damage
) -> None:
    shutil.copytree(computed, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "results")
    (stored,) = results.read_all(computed / "results")[0]
    (product,) = (path for path in (tmp_path / ".bench" / stage).iterdir() if path.is_dir())
    largest = largest_of(product)
    before = largest.read_bytes()
    damage(largest)
    csv = computed / "tones/tracks.csv"
    status, _, err = main(*["run", "--method", "vicreg", "--dataset", csv, *RUN[5:]])
    assert status == 0, err
    assert f"{stage}/{product.name} is damaged ({largest.name}" in err
    (again,) = results.read_all(tmp_path / "results")[0]
    assert again.metrics == stored.metrics
    assert largest.read_bytes() == before
    aside = product.with_name(f"{product.name}.damaged")
    assert aside.is_dir()  # nobody but its owner throws it away
    assert "is damaged" not in main("run", "--method", "vicreg", "--dataset", csv, *RUN[5:])[2]


def test_what_only_reads_products_refuses_a_damaged_one(
    main: Any, computed: Path, tmp_path: Path
) -> None:
    for stage, command in (
        ("pretrained", ["export", "vicreg", "--to", "out"]),
        ("probed", ["rescore", "--score.resamples", "60"]),
        ("embedded", ["robustness", "vicreg", "--noise", "10"]),
    ):
        place = tmp_path / stage
        shutil.copytree(computed, place)
        (product,) = (path for path in (place / ".bench" / stage).iterdir() if path.is_dir())
        largest = largest_of(product)
        zeroed(largest)
        status, _, err = main(*command, "--home", place / ".bench", "--results", place / "results")
        assert status in (0, 2), err
        assert f"{largest.name} is not as it was made" in err, (stage, err)
        assert "Traceback" not in err


def test_the_doctor_reads_every_file(main: Any, computed: Path, tmp_path: Path) -> None:
    shutil.copytree(computed, tmp_path, dirs_exist_ok=True)
    folders = ["--home", tmp_path / ".bench", "--results", tmp_path / "results"]
    assert (
        f"4 of 4 in {tmp_path / '.bench'} are as they were made"
        in main("doctor", *folders, "--products")[1]
    )
    (product,) = (path for path in (tmp_path / ".bench/embedded").iterdir() if path.is_dir())
    flipped(product / "tracks.npy")
    _, out, _ = main("doctor", *folders, "--products")
    assert f"embedded/{product.name}: tracks.npy is not as it was made" in out
    assert "3 of 4 in" in out


def test_a_note_of_another_state_is_not_believed(tmp_path: Path) -> None:
    def make(work: Path) -> None:
        (work / "a.npy").write_bytes(b"1234")

    store = Store(tmp_path)
    folder = store.produce("probed", "k", make)
    assert damage_of(folder) == ""
    note = folder / NOTE
    for content in ("", "[]", '{"a.npy": 3}', "{"):
        note.write_text(content)
        assert damage_of(folder) == ""
    (folder / "a.npy").write_bytes(b"1235")
    assert damage_of(folder) == "a.npy is not as it was made"
    assert damage_of(folder, in_full=True) == "a.npy is not as it was made"
