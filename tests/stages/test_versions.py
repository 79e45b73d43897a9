"""Products of other versions of the libraries: used and named, and made again by --fresh."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import results
from bench.core.store import STAMP, Store, other_versions, write_json
from bench.core.versions import COMPUTING, differing, library_versions
from tests.conftest import TINY, make_tones

Main = Any
STAGES = ("prepared", "pretrained", "embedded", "probed")


def age(folder: Path, stage: str, library: str = "torch", version: str = "1.13.1") -> None:
    """Has a product say that it was made under another version."""
    stamp = json.loads((folder / STAMP).read_text())
    stamp["lineage"][stage][library] = version
    write_json(folder / STAMP, stamp)


def products(home: Path, stage: str) -> dict[str, int]:
    """The products of a stage, and when each was made."""
    folders = (path for path in (home / stage).iterdir() if path.is_dir())
    return {path.name: (path / "run.json").stat().st_mtime_ns for path in folders}


def test_major_and_minor_versions_count():
    now = {"torch": "2.14.1+cpu", "numpy": "2.4.6", "av": "15.0"}
    assert differing({"torch": "2.14.0", "numpy": "2.4.1"}, now, COMPUTING) == []
    assert differing({"torch": "2.13.0"}, now, COMPUTING) == ["torch 2.13.0 (here 2.14.1+cpu)"]
    assert differing({"torch": "1.14.1", "av": "14.0"}, now, ("av",)) == ["av 14.0 (here 15.0)"]
    assert differing({"av": "14.0", "symusic": "0.5"}, now, COMPUTING) == []


def test_a_product_knows_what_it_and_its_sources_were_made_under(tmp_path):
    store = Store(tmp_path)
    first = store.produce("prepared", "a", lambda folder: None)
    second = store.produce("pretrained", "b", lambda folder: None, [first])
    assert other_versions(second) == {}
    age(first, "prepared", "soundfile", "0.1.0")
    third = store.produce("embedded", "c", lambda folder: None, [first, second])
    assert list(other_versions(third)) == ["prepared"]
    assert other_versions(third)["prepared"][0].startswith("soundfile 0.1.0 (here 0.")


def test_an_attempt_that_other_versions_began_is_named_or_begun_anew(tmp_path):
    seen = []

    def killed(folder: Path) -> None:
        (folder / "state").write_text("begun")
        raise KeyboardInterrupt

    def make(folder: Path) -> None:
        seen.append((folder / "state").is_file())

    for fresh in (False, True):
        store = Store(tmp_path / str(fresh), fresh=fresh)
        with pytest.raises(KeyboardInterrupt):
            store.produce("pretrained", "k", killed)
        age(store.folder("pretrained", "k").with_suffix(".part"), "pretrained")
        other = other_versions(store.produce("pretrained", "k", make))
        assert bool(other) is not fresh
    assert seen == [True, False]


def test_the_result_names_them_and_fresh_makes_them_again(main, tmp_path):
    make_tones(tmp_path / "tones")
    run = ["run", "--method", "vicreg", "--dataset", "tones/tracks.csv", "--train.steps", 2, *TINY]
    assert main(*run)[0] == 0
    home = tmp_path / ".bench"
    (stored,) = results.read_all(tmp_path / "results")[0]
    assert stored.other_versions == {}
    # The encoder is of another torch; what comes after it is gone, as after a clean-up.
    before = {stage: products(home, stage) for stage in STAGES}
    age(next((home / "pretrained").iterdir()), "pretrained")
    for stage in ("embedded", "probed"):
        for folder in (home / stage).iterdir():
            folder.rename(tmp_path / f"gone-{stage}")
    for path in (tmp_path / "results/runs").iterdir():
        path.unlink()
    status, _, err = main(*run)
    assert status == 0
    torch = library_versions()["torch"]
    assert f"pretrained: made under torch 1.13.1 (here {torch}); --fresh makes it again" in err
    (named,) = results.read_all(tmp_path / "results")[0]
    assert named.other_versions == {"pretrained": [f"torch 1.13.1 (here {torch})"]}
    assert products(home, "pretrained") == before["pretrained"]
    # Again without the flag: found as it is. With it: encoder and all that was made of it are new.
    assert main(*run)[0] == 0
    assert main(*run, "--fresh")[0] == 0
    after = {stage: products(home, stage) for stage in STAGES}
    assert after["prepared"] == before["prepared"]
    for stage in ("pretrained", "embedded", "probed"):
        assert set(after[stage]) == set(before[stage])
        assert after[stage] != before[stage]
    (fresh,) = results.read_all(tmp_path / "results")[0]
    assert fresh.other_versions == {}
    assert fresh.metrics == stored.metrics
    # Nothing is of other versions any more: nothing is made again.
    assert main(*run, "--fresh")[0] == 0
    assert {stage: products(home, stage) for stage in STAGES} == after
