"""Plug-ins of third parties: one of each kind, as they were written for version 0.1, load and run.

The texts below are not changed when the house is: whoever has such files need not touch them.
"""

from pathlib import Path

import pytest

import bench
from bench.core import registry
from bench.core.code import modules_of
from bench.core.errors import InputError

METHOD = '''"""Agreement: a method of a third party, which draws the views of a track together."""

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bench import heads, method

PAPER, COST = "nobody", "nothing"


class Settings(method.Settings):
    """Settings.

    Attributes:
        width: of the projection.
    """

    width: int = Field(8, ge=2)


@method.in_float32
def agreement(first: Tensor, second: Tensor) -> method.Loss:
    """One minus the mean cosine."""
    distance = 1 - functional.cosine_similarity(first, second).mean()
    terms = {"distance": distance, "alignment": heads.mean_cosine(first, second)}
    return method.Loss(total=distance, terms=terms)


class Method(method.Method):
    """Encoder and a linear projector."""

    settings: Settings

    def __init__(self, encoder, width, settings, task: method.Task) -> None:
        super().__init__(encoder, width, settings, task)
        self.projector = nn.Linear(width, settings.width)

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        first, second = (self.projector(self.encoder(view)) for view in batch.views)
        return agreement(first, second)
'''
ENCODER = '''"""Bands: mean levels of the mel bands through one linear layer."""

from pydantic import Field
from torch import Tensor, nn

from bench.encoders import Encoder as BaseEncoder
from bench.encoders import Settings as BaseSettings
from bench.errors import InputError
from bench.spectra import LogMelSpec

PAPER, COST = "nobody", "nothing"
SAMPLE_RATE = 8_000
INPUT = "log_mel"


class Settings(BaseSettings):
    """Settings.

    Attributes:
        seconds: length of a view.
        width: of the embedding.
    """

    seconds: float = Field(1.0, gt=0)
    width: int = 12


class Encoder(BaseEncoder):
    """(batch, 1, mels, frames) -> (batch, width)."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        if settings.width < 2:
            raise InputError("encoder.width: give 2 or more")
        self.frontend = LogMelSpec(sample_rate=SAMPLE_RATE, f_max=4_000.0)
        self.width = settings.width
        self.layer = nn.Linear(self.frontend.mels, settings.width)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs[:, 0].mean(-1))
'''
DATASET = '''"""Beeps: made tones of two pitches."""

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from bench.data import manifest as contract
from bench.data.manifest import InputError, Manifest, Progress, generator

PAPER, COST = "nobody", "nothing"
HOMEPAGE, LICENCE, CITATION, PUBLISHED_IN = "", "", "", ""
FILES: tuple[contract.File, ...] = ()
GENERATED = True


class Settings(contract.Settings):
    """Settings.

    Attributes:
        tracks: how many.
    """

    tracks: int = 30


def manifest(root: Path, settings: Settings, progress: Progress) -> Manifest:
    """Writes the tones."""
    if settings.tracks < 10:
        raise InputError("dataset.tracks: give 10 or more")
    rows = []
    for number in range(settings.tracks):
        random = generator(0, "beeps", number)
        pitch = ("low", "high")[number % 2]
        time = np.arange(16_000) / 8_000
        wave = np.sin(2 * np.pi * (300 if pitch == "low" else 900) * time)
        name = f"{number}.wav"
        soundfile.write(root / name, 0.3 * wave + 0.02 * random.standard_normal(len(time)), 8_000)
        split = "train" if number % 10 < 6 else "valid" if number % 10 < 8 else "test"
        rows.append((str(number), name, split, [pitch], f"g{number}"))
        progress(number + 1, settings.tracks)
    tracks = pd.DataFrame(rows, columns=["track_id", "path", "split", "tags", "group"])
    return Manifest(tracks, ("high", "low"), "classes", "made", ())
'''
RECIPE = """[about]
summary = "A short recipe"
paper = "nobody"
cost = "nothing"

[encoder]
name = "bands"

[train]
steps = 3
batch_size = 8
diagnose_times = 1

[probe]
steps = 20
"""
BARE_METHOD = '''"""A method of a third party."""
from bench import method
PAPER, COST = "nobody", "nothing"
TRAINS = False
class Settings(method.Settings):
    """None."""
class Method(method.Method):
    """The encoder alone."""
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for `--plugins`, with one plug-in of each kind."""
    monkeypatch.setattr(bench, "__path__", list(bench.__path__))
    monkeypatch.delenv("BENCH_PLUGINS", raising=False)
    place = tmp_path / "mine"
    files = {
        "methods/agreement.py": METHOD,
        "encoders/bands.py": ENCODER,
        "datasets/beeps.py": DATASET,
        "recipes/short.toml": RECIPE,
    }
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def test_one_of_each_kind_is_computed(main, folder):
    names = ["--method", "agreement", "--dataset", "beeps", "--encoder", "bands"]
    arguments = [*names, "--recipe", "short", "--plugins", folder, "--resamples", 20]
    status, out, err = main("run", *arguments, "--method.width", 4)
    assert status == 0, err
    assert "agreement" in out
    assert "beeps" in out
    for kind, name in (("methods", "agreement"), ("encoders", "bands"), ("recipes", "short")):
        assert name in main("list", kind, "--plugins", folder)[1]
    assert "pretrain agreement" not in main("run", *arguments, "--method.width", 4)[2]  # is stored
    registry._all.cache_clear()


def test_the_code_of_a_plug_in_counts_with_all_that_it_uses(folder):
    registry.add_plugins(folder)
    reached = modules_of("bench.encoders.bands", "bench.methods.agreement", "bench.datasets.beeps")
    used = {"bench.spectra", "bench.settings.frontends", "bench.encoders", "bench.method"}
    used |= {"bench.heads", "bench.data.manifest", "bench.core.randomness"}
    assert used <= set(reached)
    registry._all.cache_clear()


def test_two_plug_ins_of_one_name_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "__path__", list(bench.__path__))
    monkeypatch.delenv("BENCH_PLUGINS", raising=False)
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/vicreg.py").write_text(BARE_METHOD)
    registry.add_plugins(tmp_path)
    with pytest.raises(InputError, match="two methods are called 'vicreg'"):
        registry.names("methods")
    registry._all.cache_clear()


def test_entry_points_bring_plug_ins(tmp_path, monkeypatch):
    info = tmp_path / "somebodys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pretext_bench.methods]\ntheirs = somebodys_method\n")
    (tmp_path / "somebodys_method.py").write_text(BARE_METHOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._all.cache_clear()
    assert registry.describe("methods", "theirs")["summary"] == "A method of a third party."
    assert registry.load("methods", "theirs").TRAINS is False
    registry._all.cache_clear()
