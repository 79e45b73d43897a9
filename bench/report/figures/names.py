"""Names of figures' files: the kind of figure, data set and split, and the setting."""

from collections import Counter
from collections.abc import Iterator

from bench.report.figures.layout import slug
from bench.report.places import Place
from bench.report.setting import Setting
from bench.report.stock import Stock
from bench.results import Result


def places_by_setting(kind: str, stock: Stock) -> Iterator[tuple[list[Result], str, str, Setting]]:
    """What the figures of a kind are drawn from, one figure for each place and setting.

    Args:
        kind: kind of the figures.
        stock: the stored cells.

    Yields:
        (cells, name of the figure, title of the place, setting).
    """
    for setting in stock.settings:
        for place, cells in stock.fitting(setting).items():
            yield cells, file_name(kind, stock, setting, place), stock.titles[place], setting


def file_name(kind: str, stock: Stock, setting: Setting, place: Place | None = None) -> str:
    """A name such as `tags-midiband-artist-resnet-small-quick-linear`.

    The name holds no more than tells files apart: the hash of the tracks only where two data sets
    have the same name and split after `slug`, the convention of scoring only where several are
    stored.

    Args:
        kind: kind of the figure.
        stock: the stored cells.
        setting: setting of the figure's cells.
        place: where they were scored; None for a figure of several places.
    """
    parts = [kind]
    if place is not None:
        named = Counter(slug(other.dataset, other.split) for other in stock.places)
        parts += [place.dataset, place.split]
        parts += [place.tracks[:6]] if named[slug(place.dataset, place.split)] > 1 else []
    parts += [
        setting.encoder,
        setting.recipe,
        setting.pretrain and f"from-{setting.pretrain}",
        setting.probe,
    ]
    conventions = {other.convention for other in stock.settings}
    parts += [setting.convention] if len(conventions) > 1 else []
    name = slug(*(part for part in parts if part))
    # Settings whose names differ only in signs that no file name should have are numbered.
    alike = [other for other in stock.settings if _plain(other) == _plain(setting)]
    return name if len(alike) == 1 else f"{name}-{alike.index(setting) + 1}"


def _plain(setting: Setting) -> str:
    return slug(
        setting.encoder, setting.recipe, setting.pretrain, setting.probe, setting.convention
    )
