"""The map is that of the house: every path that the documents name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "README.md")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_in_documents_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text)
    named = re.findall(r"`((?:bench|methods|datasets|tests|docs|results)/[\w/.-]+)`", text)
    for path in [*linked, *named]:
        made = path.startswith(("results/runs", "results/robustness"))  # by whoever runs it
        assert made or (ROOT / path).exists(), f"{name} names {path}"
