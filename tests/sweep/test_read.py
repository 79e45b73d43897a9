"""Sweep files: errors that name their place, and includes."""

import pytest

from bench.core.errors import InputError
from bench.sweep.cells import cells
from bench.sweep.read import read_sweep, with_site

WRONG = {
    "[axes]\nmethod = ['vicreg']": (
        "line 2, column 10: unknown key in [axes] 'method'; did you mean 'methods'?"
    ),
    "[axis]\nmethods = ['vicreg']": (
        "line 1, column 1: unknown section 'axis'; did you mean 'axes'?"
    ),
    "[axes]\nmethods = []": (
        "line 2, column 11: axes.methods is empty: give at least one value, or leave it out"
    ),
    "[axes]\nmethods = ['vicreg']\n[site.parameters]\nexclusive = [1]": (
        "line 4, column 13: site.parameters.exclusive: [1]: give true, a number or a text"
    ),
    "[axes]\nmethods = ['vicreg']\nseeds = [0, 0]": (
        "line 3, column 9: axes.seeds: a value stands twice"
    ),
    "[axes]\nmethods = ['vicrge']": (
        "line 2, column 11: unknown method 'vicrge'; did you mean 'vicreg'?"
    ),
    "[axes]\nmethods = ['vicreg']\n\n[[exclude]]\nmethod = 'byol'": (
        "line 4, column 1: this exclude meets no cell"
    ),
    "[axes]\nmethods = ['vicreg']\n[[exclude]]\nmethod = 'vicreg'": (
        "line 3, column 1: the excludes leave no cell"
    ),
    "[axes]\nmethods = ['vicreg']\n[[exclude]]\nmetod = 'vicreg'": (
        "'metod'; did you mean 'method'?"
    ),
    "[axes]\nmethods = ['vicreg']\n[[exclude]]": "names no axis, and so would leave every cell out",
    "[axes]\nmethods = ['vicreg']\n[settings.train]\nlr = 1": (
        "line 4, column 6: unknown setting 'train.lr'"
    ),
    "[axes]\nmethods = ['vicreg']\n[resources.pretrain]\ngpus = -1": (
        "line 4, column 8: resources.pretrain.gpus = -1"
    ),
    "[axes]\nmethods = ['vicreg']\ndatasets = ['no.csv']": (
        "line 3, column 12: no such file: no.csv; looked for from"
    ),
    "[axes]\nrecipes = ['no.toml']": "line 2, column 11: no such file: no.toml; looked for from",
    "[axes\n": "not a readable TOML",
    "deep = " + 2000 * "[" + 2000 * "]": (
        "not a readable TOML: lists or tables stand too deep in each other"
    ),
    "include = ['other.toml']": "cannot read the sweep file",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_wrong_files_are_named_with_their_place(tmp_path, text):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(InputError) as raised:
        cells(read_sweep(str(file)))
    assert WRONG[text] in str(raised.value)


def test_includes_lie_under_what_includes_them_and_make_no_circle(tmp_path):
    (tmp_path / "base.toml").write_text(
        "[axes]\nmethods = ['vicreg']\nseeds = [3]\n[site]\npartition = 'a'"
    )
    (tmp_path / "top.toml").write_text("include = ['base.toml']\n[axes]\nmethods = ['byol']")
    found = read_sweep(str(tmp_path / "top.toml"))
    assert [one.axes[0] for one in cells(found)] == ["byol"]
    assert cells(found)[0].spec.seed == 3
    (tmp_path / "site.toml").write_text("[site]\npartition = 'b'\n[resources.pretrain]\ngpus = 2")
    laid = with_site(found, tmp_path / "site.toml")
    assert (laid.spec.site.partition, laid.spec.resources.pretrain.gpus) == ("b", 2)
    assert laid.identity == found.identity
    (tmp_path / "base.toml").write_text("include = ['top.toml']")
    with pytest.raises(
        InputError, match=r"includes go in a circle: top.toml -> base.toml -> top.toml"
    ):
        read_sweep(str(tmp_path / "top.toml"))
