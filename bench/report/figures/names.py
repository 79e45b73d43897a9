"""Names of files: the kind of figure, the data set and split, and the protocol, as short as they stay apart."""

from collections import Counter
from collections.abc import Iterator

from bench.report.figures.layout import slug
from bench.report.places import Place, place_names, places
from bench.report.setting import Setting, fits
from bench.report.stock import Stock
from bench.results import Result


def places_by_setting(kind: str, stock: Stock) -> Iterator[tuple[list[Result], str, str, Setting]]:
    """What figures of one place and setting are drawn from: (cells, the figure's name, the place in words, setting).

    Args:
        kind: of the figures.
        stock: all that is drawn.
    """
    names = place_names(stock.places)
    for setting in stock.settings:
        for place, own in places(
            result for result in stock.results if fits(result, setting)
        ).items():
            yield own, file_name(kind, stock, setting, place), names[place], setting


def file_name(kind: str, stock: Stock, setting: Setting, place: Place | None = None) -> str:
    """Such as `tags-midiband-artist-resnet-small-quick-linear`.

    The hash of the tracks stands in it only where two data sets have the same name and split in
    such letters, and the convention of scoring only where several are stored; the name does not
    depend on anything else.

    Args:
        kind: of the figure.
        stock: all that is drawn.
        setting: of the figure's cells.
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
    found = stock.settings
    parts += [setting.convention] if len({other.convention for other in found}) > 1 else []
    name = slug(*(part for part in parts if part))
    # Names that differ in nothing but signs that no file name should have.
    alike = [other for other in found if _plain(other) == _plain(setting)]
    return name if len(alike) == 1 else f"{name}-{alike.index(setting) + 1}"


def _plain(setting: Setting) -> str:
    return slug(
        setting.encoder, setting.recipe, setting.pretrain, setting.probe, setting.convention
    )
