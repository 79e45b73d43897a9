"""What counts of a file: words and the form of imports do not, what may change a number does."""

import pytest

from tests.core.packages import FROM_TOOLS, PLAIN, PROGRESS, TOOLS, Package, lines


@pytest.mark.parametrize(
    "text",
    [
        '"""Words."""\n' + PLAIN,
        PLAIN.replace("    return", '    """More words."""\n    return'),
        PLAIN.replace("    return", "    # why\n    return"),
        "import os\nimport sys\n" + PLAIN,
        PLAIN.replace("from somebodys.tools import", "from somebodys.tools import FACTOR,"),
        PLAIN.replace("from somebodys", "from "),
        "from typing import TYPE_CHECKING\n" + PLAIN + "\nif TYPE_CHECKING:\n    import pandas\n",
        PLAIN + '\nPAPER = "another"\n',
    ],
    ids=["docstring", "inner", "comment", "imports", "unused", "relative", "types", "listed"],
)
def test_words_and_imports_change_nothing(digest: Package, text: str) -> None:
    assert digest(main=text) == digest()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('raise ValueError(f"{x} is wrong")', "raise ValueError('no')"),
        ("raise ValueError('a') from None", "raise ValueError('b')"),
        ("assert x, 'a message'", "assert x"),
        ("say('done')", "say(f'{x} done')"),
        ("with progress('a title', 'steps') as report:\n        report(1, 2, 'words')",
         "with progress('another', 'tracks') as report:\n        report(1, 2, 'other words')"),
    ],
)  # fmt: skip
def test_messages_and_progress_change_nothing(digest: Package, before: str, after: str) -> None:
    start = "from bench.core.progress import progress, say\n" + PLAIN + "\n\ndef g(x):\n    "
    assert digest(main=start + before + "\n") == digest(main=start + after + "\n")


def test_the_kind_of_an_error_counts(digest: Package) -> None:
    assert digest(main=PLAIN + "\nraise ValueError('a')\n") != digest(
        main=PLAIN + "\nraise TypeError('a')\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # What a name of a library stands for.
        ("from torch.nn import GELU as Unit\nUNIT = Unit()",
         "from torch.nn import ReLU as Unit\nUNIT = Unit()"),
        ("import numpy as np\nX = np.ones(1)", "import torch as np\nX = np.ones(1)"),
        ("from numpy import *\nX = ones(1)", "from torch import *\nX = ones(1)"),
        # One name with several imports: which of them stands where.
        (lines("def f():", "    from somebodys.tools import helper", "    return helper(1)",
               "def g():", "    from somebodys.other import helper", "    return helper(1)"),
         lines("def f():", "    from somebodys.other import helper", "    return helper(1)",
               "def g():", "    from somebodys.tools import helper", "    return helper(1)")),
        (lines("try:", "    from somebodys.tools import helper", "except ImportError:",
               "    from somebodys.other import helper", "X = helper(1)"),
         lines("try:", "    from somebodys.other import helper", "except ImportError:",
               "    from somebodys.tools import helper", "X = helper(1)")),
        (lines("def helper(x):", "    return x", FROM_TOOLS, "X = helper(1)"),
         lines(FROM_TOOLS, "def helper(x):", "    return x", "X = helper(1)")),
        # Constants that are printed in plug-ins, and computed with here.
        ("COST = 2\n", "COST = 3\n"),
        ("COST = 'a'\nX = len(COST)", "COST = 'ab'\nX = len(COST)"),
        ("COST = FACTOR = 'a'", "COST = FACTOR = 'b'"),
        # What is run, whatever it is called.
        ("if TYPE_CHECKING:\n    import x\nelse:\n    X = 1",
         "if TYPE_CHECKING:\n    import x\nelse:\n    X = 2"),
        ("class Found(Exception): pass\nraise Found(1 + 1)",
         "class Found(Exception): pass\nraise Found(1 + 2)"),
        ("raise StopIteration('head')", "raise StopIteration('body')"),
        ("raise ValueError('a', 1)", "raise ValueError('a', 2)"),
        # What only looks like progress.
        ("class Progress: ...\ndef f(add: Progress):\n    add(1)",
         "class Progress: ...\ndef f(add: Progress):\n    add(2)"),
        (PROGRESS + "def f(say):\n    say(1)", PROGRESS + "def f(say):\n    say(2)"),
        (PROGRESS + "with progress('a', 'b') as r: ...\nr = print\nr(1)",
         PROGRESS + "with progress('a', 'b') as r: ...\nr = print\nr(2)"),
        (PROGRESS + "say(f'{model.train()}')", PROGRESS + "say(f'{model.eval()}')"),
        (PROGRESS + "say(str(n := 1))", PROGRESS + "say(str(n := 2))"),
    ],
)  # fmt: skip
def test_what_is_no_mere_word_counts(digest: Package, before: str, after: str) -> None:
    other = TOOLS.replace("2", "3")
    assert digest(main=before, other=other) != digest(main=after, other=other)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("PAPER, COST = 'a', 'b'", "PAPER, COST = 'a', 'c'"),
        (PROGRESS + "say(f'{len(x)} done')", PROGRESS + "say(f'of all {len(x)}, {y:.1f}')"),
        ("class OwnError(Exception): pass\nraise OwnError('a')",
         "class OwnError(Exception): pass\nraise OwnError(f'{x}')"),
        ("from bench.core.errors import unknown\nraise unknown(f'a {b}', c, d)",
         "from bench.core.errors import unknown\nraise unknown('a', c, d)"),
        ("import torch.nn as nn\nX = nn.GELU()", "from torch import nn\nX = nn.GELU()"),
        ("X = 1", "\ufeffX = 1"),
        ("X = 1", "# -*- coding: latin-1 -*-\nX = 1"),
        ("from bench.core.progress import Report\ndef f(report: Report):\n    report(1, 2, 'a')",
         "from bench.core.progress import Report\ndef f(report: Report):\n    report(1, 2, 'b')"),
        ("from bench.data.manifest import Progress\ndef f(p: Progress):\n    p(1, 2)",
         "from bench.data.manifest import Progress\ndef f(p: Progress):\n    p(1, 3)"),
    ],
)  # fmt: skip
def test_other_words_change_nothing(digest: Package, before: str, after: str) -> None:
    assert digest(main=before) == digest(main=after)
