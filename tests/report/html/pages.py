"""Pages of a report, read back with a parser."""

from html.parser import HTMLParser
from pathlib import Path

from bench.report.html.write import write_report

NASTY = ("<script>alert(1)<&amp;", "a\"b'c", "50%_\\textbf{x} #?&=", "ünï cødé ")


VOID = {"meta", "link", "input", "br", "path", "img", "hr", "option"}


class Page(HTMLParser):
    """What a page holds: elements with attributes, the text of each kind of element, and ids."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind that have the wanted attributes."""
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and all(attributes.get(key) == value for key, value in wanted.items())
        ]

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.elements if "id" in attributes]

    @property
    def text(self) -> str:
        return " ".join(text for found in self.texts.values() for text in found)


def pages(folder: Path) -> dict[str, Page]:
    """Every page of a report, by its path in the folder."""
    return {
        path.relative_to(folder).as_posix(): Page(path) for path in sorted(folder.rglob("*.html"))
    }


def report(results_folder: Path, out: Path) -> dict[str, Page]:
    """Writes a report with few permutations, and reads its pages back."""
    write_report(results_folder, out, permutations=200)
    return pages(out)
