"""The commands that use a stored encoder: `bench export`, and `bench embed` for own files."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.cli.flags import Flag, Home, Plugins, Results, begin
from bench.core.errors import InputError

if TYPE_CHECKING:
    from bench.pretrained import Pretrained
    from bench.weights.embed_files import Embedded

_SHOWN = 5  # the most files that a line names


def export(
    run: str,
    *,
    to: Path,
    onnx: Flag = False,
    home: Home = Path(".bench"),
    results: Results = Path("results"),
    plugins: Plugins = None,
) -> None:
    """Write a run's frozen encoder to a folder for others: weights, description, tags, model card.

    The folder is loaded in three lines of Python, without the training code (`bench.pretrained`),
    and by `bench embed`. An earlier export of the same run is replaced; anything else in its place
    is left alone.

    Parameters
    ----------
    run
        A result file (.json), or the beginning of a cell's key or of a result file's name.
    to
        The folder, new or empty.
    onnx
        Write model.onnx as well, with the front end inside, and compare it with PyTorch.
    """
    from bench.core.store import Store
    from bench.data.fetch.disk import human
    from bench.results import file_stem
    from bench.weights.export import export as write
    from bench.weights.export import find_run

    begin(plugins)
    result = find_run(run, results)
    exported = write(result, Store(home), results, to, onnx)
    print(f"{to}: {file_stem(result.spec, result.cell)}")
    for name, size in exported.files.items():
        print(f"  {name:<18} {human(size)}")
    if exported.onnx:
        difference = exported.onnx["largest_difference"]
        print(f"  model.onnx differs from PyTorch by {difference:.1e} at most")
    print(
        f'load it: from bench.pretrained import load; model = load("{to}"); '
        'vectors = model.embed("song.mp3")'
    )


def embed(
    run: str,
    *audio: Path,
    out: Path,
    segments: Flag = False,
    on_bad: Literal["report", "fail"] = "report",
    workers: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    home: Home = Path(".bench"),
    results: Results = Path("results"),
    plugins: Plugins = None,
) -> None:
    """Embed your own audio files with a run's frozen encoder.

    Parameters
    ----------
    run
        A folder of `bench export`, a result file (.json), or the beginning of a cell's key or of a
        result file's name.
    audio
        Files, or folders of files: wav, flac, ogg, opus, mp3, aiff, au; m4a and aac with
        pretext-bench[m4a].
    out
        The file to write: .npz (paths, tracks) or .parquet (path, embedding).
    segments
        Write the embedding of every segment, too (npz: segments, first; parquet: a row a segment).
    on_bad
        What to do with files that cannot be read: report leaves them out and names them, fail stops
        at the first.
    workers
        Files decoded at the same time; else as many as there are cores.
    device
        Where to encode.
    """
    from bench.core.progress import progress, say
    from bench.core.store import require_writable
    from bench.weights.embed_files import audio_files, embed_to, require_form

    begin(plugins)
    require_form(out)
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: give 1 or more")
    paths, passed = audio_files(audio)
    try:
        require_writable(out.absolute().parent)
    except InputError as error:
        raise InputError(f"--out {out}: {str(error).partition(': choose')[0]}") from error
    model = _model(run, home, results, device)
    with progress("embed", "files") as report:
        embedded = embed_to(model, paths, out, segments, report, workers, on_bad)
    for what, passed_over in sorted(passed.items()):
        say(f"{passed_over} {what} passed over")
    _tell_unusual(embedded)
    number = f", {embedded.first[-1]} segments" if segments else ""
    print(
        f"{out}: {len(embedded.paths)} files{number}, {model.width} numbers each, "
        f"{len(embedded.left_out)} left out"
    )


def _tell_unusual(embedded: "Embedded") -> None:
    """Says which files were left out, and which were read otherwise than they are."""
    from bench.core.progress import say

    for lines, what in (
        (embedded.left_out, "left out"),
        (embedded.remarks, "read otherwise than they are"),
    ):
        if lines:
            more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
            say(f"{len(lines)} files {what}: {'; '.join(lines[:_SHOWN])}{more}")


def _model(run: str, home: Path, results: Path, device: str) -> "Pretrained":
    """The frozen encoder of a run or of an exported folder, on a device."""
    import torch

    from bench.core.store import Store
    from bench.pretrained import load
    from bench.weights.export import find_run, model_of

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU here; `bench doctor` says more")
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if Path(run).is_dir():
        return load(run, place)
    return model_of(find_run(run, results), Store(home)).to(place)
