"""What the commands share: types of flags, dotted settings, and the reading of comma lists."""

import contextlib
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from cyclopts import Group, Parameter

from bench.core.errors import InputError, unknown

if TYPE_CHECKING:
    from bench.settings.specs import ExperimentSpec

PLACES = Group("Places", sort_key=2)
Home = Annotated[
    Path, Parameter(env_var="BENCH_HOME", group=PLACES, help="Holds what can be made again.")
]
Results = Annotated[
    Path, Parameter(env_var="BENCH_RESULTS", group=PLACES, help="Holds the scores.")
]
Plugins = Annotated[
    Path | None,
    Parameter(
        group=PLACES, help="Folder with methods/, datasets/, encoders/ or recipes/ of your own."
    ),
]
Flag = Annotated[bool, Parameter(negative="")]
Tree = dict[str, dict[str, Any]]
LabelledSets = list[tuple[float, int, dict[str, Any]]]
"""Labelled sets, each as (label fraction, number of the draw, settings of `labels`)."""

_OVERRIDE = re.compile(r"--([a-z_-]+)\.([a-z_.-]+?)(?:=(.*))?$", re.DOTALL)


def begin(plugins: Path | None) -> None:
    """What every command on data sets does first: looks at files anew, and adds a user's plug-ins.

    Args:
        plugins: folder of the plug-ins; None without any.
    """
    from bench.core import registry
    from bench.data import tracks_csv

    tracks_csv.fingerprint.cache_clear()  # files may change between two commands of one process
    if plugins is not None:
        registry.add_plugins(plugins)


overrides: Tree = {}
"""The dotted settings of the command line, by section; set when a command line is read."""


def split_overrides(tokens: Sequence[str]) -> tuple[list[str], Tree]:
    """Separates dotted flags from the rest of the command line.

    Dotted flags are such as `--train.learning_rate 1e-3` or `--augment.gain.probability=0.5`. A
    value is read as JSON where it is JSON, else as text: 0.2, true, [1, 2], log_mel.

    Args:
        tokens: words of the command line.

    Returns:
        The other words, and the settings by section and name.

    Raises:
        InputError: a dotted flag without a value.
    """
    rest: list[str] = []
    found: Tree = {}
    waiting = list(tokens)
    while waiting:
        token = waiting.pop(0)
        match = _OVERRIDE.match(token)
        if not match:
            rest.append(token)
            continue
        section, name, value = match.groups()
        if value is None:
            if not waiting or waiting[0].startswith("--"):
                raise InputError(f"{token} needs a value")
            value = waiting.pop(0)
        with contextlib.suppress(json.JSONDecodeError):
            value = json.loads(value)
        *tables, setting = name.replace("-", "_").split(".")
        table: dict[str, Any] = found.setdefault(section.replace("-", "_"), {})
        for inner in tables:
            table = table.setdefault(inner, {})
            if not isinstance(table, dict):
                raise InputError(f"{token}: '{inner}' was given a value of its own before")
        table[setting] = value
    return rest, found


def with_flags(settings: Tree, flags: dict[tuple[str, str], Any]) -> Tree:
    """Adds to dotted settings the flags that stand for one of them, such as `--steps`.

    Args:
        settings: dotted settings, by section and name.
        flags: value of each flag, by section and name of its setting; None where it is not given.

    Raises:
        InputError: a setting is given both ways.
    """
    joined = {section: dict(values) for section, values in settings.items()}
    for (section, name), value in flags.items():
        if value is None:
            continue
        if name in joined.get(section, {}):
            raise InputError(
                f"{section}.{name} is given twice, by a flag of its own and by its dotted name"
            )
        joined.setdefault(section, {})[name] = value
    return joined


def labelled_sets(
    fraction: str | None,
    draws: int | None,
    preset: str | None,
    subset: str | None,
    settings: Tree,
    home: Path,
) -> LabelledSets:
    """Every labelled set that the flags ask for.

    Args:
        fraction: label fractions with commas.
        draws: number of draws of each fraction below 1.
        preset: name of a published scheme.
        subset: hashes of imported subsets with commas.
        settings: dotted settings.
        home: the home folder, which holds imported subsets.

    Raises:
        InputError: flags that exclude each other, or values out of range.
    """
    if draws is not None and draws < 1:
        raise InputError(f"--draws {draws}: give 1 or more")
    if "subset" in settings.get("labels", {}):
        raise InputError("labels.subset: give --subset HASH, which says fraction and draw too")
    if subset is not None:
        if preset or fraction or draws:
            raise InputError(
                "--subset says which tracks are labelled: "
                "leave --fraction, --draws and --preset out"
            )
        return _imported(subset, home)
    if preset is None:
        shares, several = fractions("1.0" if fraction is None else fraction), draws or 1
        labels: dict[str, Any] = {}
    else:
        from bench.stages.probe.subsets import PRESETS

        if fraction or draws or "labels" in settings:
            raise InputError(
                f"--preset {preset} says which tracks are labelled: "
                "leave --fraction, --draws, --labels out"
            )
        chosen = PRESETS[preset]
        shares, several, labels = list(chosen.fractions), chosen.draws, chosen.labels.model_dump()
    return [
        (share, draw, labels) for share in shares for draw in range(several if share != 1 else 1)
    ]


def _imported(text: str, home: Path) -> LabelledSets:
    """The labelled sets of imported subsets, from a comma list of hashes."""
    from bench.stages.probe.subsets import stored

    sets = []
    for name in dict.fromkeys(part.strip() for part in text.split(",") if part.strip()):
        tracks = len(stored(home, name))
        if tracks == 1:
            raise InputError(f"subset {name} is of one track; a probe needs more")
        sets.append((float(tracks), 0, {"subset": name}))
    if not sets:
        raise InputError("--subset: give a hash that `bench subsets import` printed")
    return sets


def exclusion_hash(path: Path, home: Path) -> str:
    """Copies a list of excluded tracks into home.

    Args:
        path: the list, which `bench data leaks --out` wrote.
        home: the home folder.

    Returns:
        Its hash, by which a cell names it.

    Raises:
        InputError: no exclusion file, or a home that cannot be written.
    """
    from bench.core.store import require_writable, write_json
    from bench.data.leaks import read_exclusion_file
    from bench.settings.specs import digest

    ids, first = read_exclusion_file(path)
    content = {"tracks_hash": first["tracks_hash"], "track_ids": sorted(ids)}
    name = digest(content)
    target = home / "exclusions" / f"{name}.json"
    require_writable(target.parent)
    write_json(target, content)  # always, so that a damaged copy is replaced
    return name


def fractions(text: str) -> list[float]:
    """Label fractions from a comma list: shares in (0, 1], or whole numbers of tracks.

    Raises:
        InputError: no number, or out of range.
    """
    shares = []
    for part in text.split(","):
        try:
            share = float(part)
        except ValueError:
            raise InputError(
                f"--fraction '{part}' is no number; give shares in (0, 1], such as 0.1 or "
                "0.01,0.1,1.0"
            ) from None
        if not 0 < share < float("inf") or (share > 1 and not share.is_integer()):
            raise InputError(
                f"--fraction {part.strip()} is out of range; give shares above 0 and up to 1 "
                "(0.1 is 10 %), or a whole number of tracks"
            )
        shares.append(share)
    return list(dict.fromkeys(shares))


def method_names(text: str) -> list[str]:
    """Names of methods from a comma list, each once.

    Raises:
        InputError: the list is empty.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(
            "--method: give a name of `bench list methods` "
            "(a recipe may say it: `bench list recipes`)"
        )
    return list(dict.fromkeys(names))


def probe_kinds(
    text: str | None, method: str, published: "ExperimentSpec", settings: Tree
) -> list[str | None]:
    """Kinds of probes from a comma list; those of the recipe where it is not given.

    Args:
        text: the comma list; None where the flag is not given.
        method: name of the method.
        published: the recipe's experiment.
        settings: dotted settings.

    Returns:
        The kinds; None alone where only the settings say it.

    Raises:
        InputError: an unknown kind, or one that is given twice.
    """
    from bench.settings.specs import ProbeSpec
    from bench.settings.traits import traits

    dotted = "kind" in settings.get("probe", {})
    if text is not None and dotted:
        raise InputError("probe.kind is given twice, by a flag of its own and by its dotted name")
    known = get_args(ProbeSpec.model_fields["kind"].annotation)
    parts = [part.strip() for part in (text or "").split(",")]
    given = list(dict.fromkeys(part for part in parts if part))
    for kind in given:
        if kind not in known:
            raise unknown("--probe", kind, known)
    if text is not None and not given:
        raise InputError(f"--probe: give one or several of {', '.join(known)}")
    kinds: list[str | None] = [*(given or ([] if dotted else published.probes))]
    # A method with a classifier of its own is scored by that one, whatever the probe.
    return (kinds or [None])[: 1 if traits(method).uses_labels else None]


def with_probe(settings: Tree, kind: str | None) -> Tree:
    """Settings with the kind of the probe; None leaves it as it is."""
    return with_flags(settings, {("probe", "kind"): kind})


def imported_weights(
    path: Path, encoder: str | None, settings: Tree, home: Path
) -> tuple[str, str, Tree]:
    """Copies imported weights into home.

    Args:
        path: the weights, which `bench import` wrote.
        encoder: name of the encoder that was asked for; None for that of the weights.
        settings: dotted settings.
        home: the home folder.

    Returns:
        The hash of the weights, by which a cell names them; the name of their encoder; and the
        settings with those of that encoder.

    Raises:
        InputError: no file of `bench import`, one for another encoder, or a home that cannot be
            written.
    """
    from bench.core.store import require_writable, write_atomically
    from bench.weights.imported import read_imported

    about = read_imported(path)
    if encoder not in (None, about.encoder):
        raise InputError(
            f"--weights {path} are for the encoder '{about.encoder}', not for --encoder {encoder}"
        )
    content = path.read_bytes()
    name = hashlib.sha256(content).hexdigest()[:16]
    target = home / "weights" / f"{name}.safetensors"
    if not target.is_file() or target.read_bytes() != content:  # a damaged copy is replaced
        require_writable(target.parent)
        write_atomically(target, content)
    joined = {**settings, "encoder": {**about.settings, **settings.get("encoder", {})}}
    return name, about.encoder, joined


def seeds(text: str) -> list[int]:
    """Seeds from a comma list.

    Raises:
        InputError: no whole number, or negative.
    """
    numbers: list[int] = []
    for part in text.split(","):
        try:
            numbers.append(int(part))
        except ValueError:
            raise InputError(
                f"--seed '{part}' is no whole number; give one or several with commas: 0,1,2"
            ) from None
        if numbers[-1] < 0:
            raise InputError(f"--seed {part.strip()}: give 0 or more")
    return list(dict.fromkeys(numbers))
