"""Reading tables and finding files."""

import pytest

from bench.core.errors import InputError
from bench.data.manifest import find, read_table


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
