"""`bench import`: networks with the authors' names and our own give the same embeddings.

Nothing in a file is run.
"""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from bench.core import registry
from bench.core.errors import InputError
from bench.data.frontend import build_frontend
from bench.weights.formats import classifier, convert, detect, mapped
from bench.weights.imported import read_imported
from bench.weights.read import read_checkpoint
from tests.conftest import TINY
from tests.reference_networks import Clmrs, Deezers, Tunes, trained

pytestmark = pytest.mark.usefixtures("one_thread")
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def music(rate: int, samples: int, items: int = 3) -> Tensor:
    """Chords with noise, one of them quiet, one with a silent half."""
    time = np.arange(samples) / rate
    draw = np.random.default_rng(0)
    rows = []
    for item in range(items):
        tones = sum(np.sin(2 * np.pi * f * (item + 1) * time) for f in (110.0, 277.2, 659.3))
        rows.append(0.2 * tones + 0.02 * draw.normal(size=samples))
    rows[1] *= 0.01
    rows[2][samples // 2 :] = 0
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def save(path: Path, content: Any, **how: Any) -> Path:
    torch.save(content, path, **how)
    return path


def under(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in network.state_dict().items()}


def embed(path: Path, audio: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Embeddings by an imported file alone, and its classifier."""
    about = read_imported(path)
    module = registry.load("encoders", about.encoder)
    encoder = module.Encoder(module.Settings(**about.settings)).eval()
    stored = safetensors.torch.load_file(path)
    heads = {name: value for name, value in stored.items() if name.startswith("classifier.")}
    encoder.load_state_dict(
        {name.removeprefix("encoder."): stored[name] for name in stored.keys() - heads.keys()}
    )
    with torch.no_grad():
        return encoder(build_frontend(encoder.frontend)(audio)), heads


@pytest.fixture
def take(main, tmp_path):
    """Imports a file; returns where it was written, and what was said."""

    def call(file: Path, *flags: object) -> tuple[Path, str]:
        out = tmp_path / "out.safetensors"
        status, said, err = main("import", file, "--out", out, *flags)
        assert status == 0, err
        return out, said

    return call


@pytest.fixture
def refused(main, tmp_path):
    """What `bench import` says of a file that it refuses, in one line, and writes nothing."""

    def call(file: Path, *flags: object) -> str:
        before = sorted(tmp_path.iterdir())
        status, _, err = main("import", file, "--out", tmp_path / "never.safetensors", *flags)
        assert status == 2, err
        assert err.startswith("bench: ")
        assert len(err.splitlines()) == 1
        assert sorted(tmp_path.iterdir()) == before
        return str(err)

    return call


HEAD = nn.Sequential(nn.Linear(1024, 64, bias=False), nn.BatchNorm1d(64))


def test_deezers_model_gives_its_embeddings(take, tmp_path):
    network, audio = trained(Deezers()), music(16_000, 64_000)
    state = {**under("module.backbone.", network), **under("module.head.", HEAD)}
    assert {
        "module.backbone.spec.spec.spectrogram.window",
        "module.backbone.spec.spec.mel_scale.fb",
    } <= set(state)
    file = save(tmp_path / "contrastive.pt", {"model": state, "gin_info": ["a = 1"], "epoch": 3})
    out, said = take(file)
    with torch.no_grad():
        torch.testing.assert_close(embed(out, audio)[0], network(audio), **CLOSE)
    about = read_imported(out)
    assert (about.encoder, about.format, about.source) == ("resnet", "deezer", ["contrastive.pt"])
    module = registry.load("encoders", "resnet")
    assert module.Settings(**about.settings) == module.Settings()
    assert about.dropped == {"projection head": len(HEAD.state_dict())}
    assert "log-mel: 2 tensors, equal to the encoder's own" in said
    assert "6 projection head; 2 entries that are no tensors (gin_info, epoch)" in said
    assert f"next: bench run --weights {out} --encoder resnet" in said


def test_deezers_student_and_teacher_are_told_apart(take, tmp_path):
    student, teacher, audio = trained(Deezers(), 1), trained(Deezers(), 2), music(16_000, 64_000)
    state = {**under("student.module.backbone.", student), **under("teacher.backbone.", teacher)}
    file = save(tmp_path / "byol.pt", {"model": {**state, **under("projector.", HEAD)}})
    with torch.no_grad():
        for flags, network in (((), student), (("--format", "deezer-teacher"), teacher)):
            out, said = take(file, *flags)
            torch.testing.assert_close(embed(out, audio)[0], network(audio), **CLOSE)
    assert "left out: 6 projection head; " in said


def test_another_log_mel_than_ours_is_not_taken_for_ours(refused, tmp_path):
    network = Deezers()
    network.spec.spec.mel_scale.fb *= 1.01
    file = save(tmp_path / "theirs.pt", under("backbone.", network))
    assert "mel.mel_scale.fb differs by up to" in refused(file)


def projector() -> nn.Module:
    return nn.Sequential(nn.Linear(512, 512, bias=False), nn.ReLU(), nn.Linear(512, 64, bias=False))


def clmr_files(network: nn.Module) -> dict[str, dict[str, Any]]:
    """What the authors' code saves: v1, its older names, v2, v2 through Lightning, which names the encoder twice."""
    plain = {**under("encoder.", network), **under("projector.", projector())}
    older = {}
    for name, value in plain.items():
        parts = name.split(".")
        if parts[1] == "sequential":
            name = ".".join(["encoder", f"conv{int(parts[2]) + 1}", *parts[3:]])
        older[name] = value
    twice = {
        **under("encoder.", network),
        **{f"model.{name}": value for name, value in plain.items()},
    }
    lightning = {
        "state_dict": twice,
        "pytorch-lightning_version": "1.2.1",
        "epoch": 9,
        "optimizer_states": [{"state": {}}],
    }
    return {"v1": plain, "older": older, "lightning": lightning, "alone": under("", network)}


@pytest.mark.parametrize("kind", ["v1", "older", "lightning", "alone"])
def test_clmrs_encoder_gives_its_embeddings(take, tmp_path, kind):
    network, audio = trained(Clmrs()), music(22_050, 59_049)
    content = clmr_files(network)[kind]
    file = save(tmp_path / "clmr.pt", content, _use_new_zipfile_serialization=kind != "older")
    out, _ = take(file)
    with torch.no_grad():
        torch.testing.assert_close(embed(out, audio)[0], network(audio), **CLOSE)
    wanted = {"projector": 2} if kind != "alone" else {}
    wanted |= {"second copy": len(network.state_dict())} if kind == "lightning" else {}
    assert read_imported(out).dropped == wanted


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("where", ["own file", "same file"])
def test_clmrs_fine_tuned_heads_are_kept(take, tmp_path, hidden, where):
    network, audio = trained(Clmrs()), music(22_050, 59_049)
    layers = [nn.Linear(512, 512), nn.ReLU()] if hidden else []
    head = nn.Sequential(*layers, nn.Linear(512, 50))
    if where == "own file":
        file = save(tmp_path / "clmr.pt", under("encoder.", network))
        flags = ["--head", save(tmp_path / "finetuner.pt", head.state_dict())]
    else:
        state = {**under("encoder.", network), **under("model.", head)}
        file, flags = save(tmp_path / "finetuner.ckpt", {"state_dict": state, "epoch": 3}), []
    out, said = take(file, *flags)
    embedded, stored = embed(out, audio)
    row = ["classifier.0.", "classifier.2."] if hidden else ["classifier."]
    for number, name in enumerate(row):
        embedded = nn.functional.linear(
            embedded.relu() if number else embedded, stored[f"{name}weight"], stored[f"{name}bias"]
        )
    with torch.no_grad():
        torch.testing.assert_close(embedded, head(network(audio)), **CLOSE)
    about = read_imported(out)
    assert (about.outputs, about.hidden, len(about.source)) == (
        50,
        hidden,
        1 + (where == "own file"),
    )
    assert f"classifier: {'one hidden layer' if hidden else 'linear'}, 50 outputs" in said


def test_a_last_layer_of_zeros_is_no_classifier(take, tmp_path):
    zeros = {"encoder.fc.weight": torch.zeros(50, 512), "encoder.fc.bias": torch.zeros(50)}
    out, said = take(save(tmp_path / "clmr.pt", {**under("encoder.", Clmrs()), **zeros}))
    assert read_imported(out).outputs == 0
    assert "2 last layer of zeros" in said


@pytest.mark.parametrize(("plus", "deeper"), [(False, 0), (True, 0), (False, 2)])
def test_tunes_encoder_gives_its_embeddings(take, tmp_path, plus, deeper):
    network, audio = trained(Tunes(plus=plus, deeper=deeper)), music(22_050, 59_049)
    file = save(
        tmp_path / "tune.ckpt", {"state_dict": under("model.encoder.", network), "epoch": 1}
    )
    out, _ = take(file)
    with torch.no_grad():
        torch.testing.assert_close(embed(out, audio)[0], network(audio), **CLOSE)
    about = read_imported(out)
    assert about.encoder == ("tune_plus" if plus else "tune")
    depth = {
        "channels": 2,
        "contraction": deeper,
        "decoding": 4 + deeper,
        "tail": 5,
        "embedding": 512,
    }
    assert depth.items() <= about.settings.items()


def own_weights(name: str, **settings: object) -> tuple[nn.Module, dict[str, Tensor]]:
    module = registry.load("encoders", name)
    encoder = trained(module.Encoder(module.Settings(**settings)))
    return encoder, under("encoder.", encoder)


SMALL = {"width": 4, "embedding": 16, "heads": 2, "seconds": 1.0}
SMALL_FLAGS = [part for name, value in SMALL.items() for part in (f"--encoder.{name}", str(value))]


def test_our_own_weights_need_the_encoder_and_its_settings(take, refused, tmp_path):
    encoder, state = own_weights("resnet_small", **SMALL)
    file = tmp_path / "own.safetensors"
    safetensors.torch.save_file(state, file)
    assert "does not say which encoder it is for: give --encoder NAME" in refused(file)
    assert (
        "of another shape encoder.stem.0.weight (2, 1, 3, 3) in place of (8, 1, 3, 3)"
        in refused(file, "--encoder", "resnet_small")
    )
    out, _ = take(file, "--encoder", "resnet_small", *SMALL_FLAGS)
    audio = music(16_000, 16_000)
    with torch.no_grad():
        torch.testing.assert_close(
            embed(out, audio)[0], encoder(build_frontend(encoder.frontend)(audio))
        )
    assert read_imported(out).format == "own"


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_any_names_by_a_mapping(take, tmp_path, ending):
    encoder, state = own_weights("resnet_small", **SMALL)
    theirs = {
        name.replace("encoder.stem.0.weight", "first").replace("encoder.", "net.body."): state[name]
        for name in state
    }
    file = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file(
        {**theirs, "net.head.weight": torch.ones(3), "step": torch.ones(1)}, file
    )
    rules = {"net.body.": "encoder.", "first": "encoder.stem.0.weight", "net.head.": "", "step": ""}
    text = (
        json.dumps(rules)
        if ending == "json"
        else "".join(f'"{old}" = "{new}"\n' for old, new in rules.items())
    )
    mapping = tmp_path / f"mapping.{ending}"
    mapping.write_text(text)
    out, said = take(file, "--mapping", mapping, "--encoder", "resnet_small", *SMALL_FLAGS)
    audio = music(16_000, 16_000)
    with torch.no_grad():
        torch.testing.assert_close(
            embed(out, audio)[0], encoder(build_frontend(encoder.frontend)(audio))
        )
    assert "left out: 2 by the mapping" in said


def test_rules_of_a_mapping():
    given = {"a.b": torch.ones(1), "a.c": torch.ones(1), "d": torch.ones(1)}
    assert set(mapped(given, {"a.": "encoder.", "a.c": "encoder.x"}).tensors) == {
        "encoder.b",
        "encoder.x",
        "d",
    }
    assert set(mapped(given, {"": "encoder."}).tensors) == {
        "encoder.a.b",
        "encoder.a.c",
        "encoder.d",
    }
    with pytest.raises(
        InputError, match=r"names e\., which the file does not have; it has a\.b, a\.c, d"
    ):
        mapped(given, {"e.": "encoder."})
    with pytest.raises(InputError, match=r"makes two tensors 'encoder\.x'"):
        mapped(given, {"a.b": "encoder.x", "a.c": "encoder.x"})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.json", "[1]", "expected names and their new names"),
        ("m.json", "{", "not a readable JSON"),
        ("m.toml", "a.b = 'c'", "expected names"),
        ("m.toml", "=", "not a readable TOML"),
    ],
)
def test_mappings_that_cannot_be_read(refused, tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    file = save(tmp_path / "x.pt", {"a": torch.ones(1)})
    assert words in refused(file, "--mapping", tmp_path / name)
    assert "--mapping takes the place of --format" in refused(
        file, "--mapping", tmp_path / name, "--format", "clmr"
    )
    assert "no such file" in refused(file, "--mapping", tmp_path / "none.toml")


RAN: list[str] = []


def run_me(word: str) -> str:
    """What a pickle with code in it would call."""
    RAN.append(word)
    return word


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return run_me, ("boom",)


class Shell:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle", "new pickle"])
def test_code_in_a_checkpoint_is_refused_and_not_run(refused, tmp_path, how):
    file, mark = tmp_path / "evil.pt", tmp_path / "ran"
    content = {"state_dict": under("encoder.", Clmrs()), "extra": [Bomb(), Shell(f"touch {mark}")]}
    if "pickle" in how:
        file.write_bytes(pickle.dumps(content["extra"], protocol=4 if how == "new pickle" else 2))
    else:
        save(file, content, _use_new_zipfile_serialization=how == "zip")
    said = refused(file)
    assert "is refused: it names " in said
    assert "run_me" in said or "system" in said
    assert "torch.save(model.state_dict(), ...) or safetensors" in said
    assert not RAN
    assert not mark.exists()


def test_a_whole_network_is_refused_by_its_class(refused, tmp_path):
    assert "torch.nn.modules.linear.Linear" in refused(save(tmp_path / "net.pt", nn.Linear(2, 2)))


def test_classes_that_lightning_names_are_not_needed(tmp_path):
    from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

    callbacks = {
        ModelCheckpoint: {"best_model_score": np.float64(0.5), "dirpath": Path("/x")},
        EarlyStopping: {"wait": 1},
    }
    file = save(
        tmp_path / "x.ckpt",
        {"callbacks": callbacks, "state_dict": {"a": torch.ones(2)}, "epoch": 1},
    )
    found = read_checkpoint(file)
    assert set(found.tensors) == {"a"}
    assert found.others == ("callbacks", "epoch")
    assert len(found.sha256) == 64


def broken(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no checkpoints, and what is said of each."""
    good = save(folder / "good.pt", {"encoder.a": torch.randn(2_000)}).read_bytes()
    changed = read_checkpoint(folder / "good.pt").tensors["encoder.a"].numpy().tobytes()
    tensors = safetensors.torch.save({"encoder.a": torch.randn(2_000)})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("weights/byol.pt", good)
        opened.writestr("weights/README.txt", "words")
    script = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), script)
    legacy = io.BytesIO()
    torch.save({"a": torch.randn(2_000)}, legacy, _use_new_zipfile_serialization=False)
    contents = {
        "empty.pt": (b"", "is empty"),
        "cut.pt": (good[:-500], "is cut short or damaged"),
        "begun.pt": (good[:100], "is cut short or damaged"),
        "legacy.pt": (legacy.getvalue()[:-4_000], "is cut short or damaged"),
        "cut.safetensors": (tensors[:-10], "damaged or cut-off safetensors"),
        "begun.safetensors": (tensors[:20], "safetensors"),
        "flipped.pt": (
            good.replace(changed, changed[::-1]),
            "is damaged (the checksum of good/data/0 is another)",
        ),
        "noise.pt": (bytes(range(1, 256)) * 9, "neither safetensors nor what torch.save writes"),
        "pickled.pt": (b"\x80\x02noise", "is cut short or damaged"),
        "page.pt": (b"\n<!DOCTYPE html><html>sign in</html>", "is a web page"),
        "lfs.pt": (b"version https://git-lfs.github.com/spec/v1\noid", "pointer of Git LFS"),
        "weights.zip": (
            archive.getvalue(),
            "is an archive: unpack it and give one of weights/byol.pt",
        ),
        "weights.tar.gz": (b"\x1f\x8b\x08rest", "compressed archive"),
        "script.pt": (script.getvalue(), "TorchScript program"),
        "list.pt": (_saved([torch.ones(2)]), "holds no tensors by name (found: list)"),
        "nothing.pt": (_saved({}), "holds no tensors by name (found: nothing)"),
        "numbers.pt": (_saved({"epoch": 3}), "holds no tensors by name (found: epoch)"),
        "sparse.pt": (_saved({"a": torch.eye(3).to_sparse()}), "a is sparse"),
        "strange.pt": (
            _saved({"a.b": torch.ones(3)}),
            "cannot tell the format from the names in the file (a.b)",
        ),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    return {name: (folder / name, words) for name, (_, words) in contents.items()}


def _saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_files_that_are_no_checkpoints(refused, tmp_path):
    for file, words in broken(tmp_path).values():
        said = refused(file)
        assert words in said, (file.name, said)
        assert file.name in said
    assert "no such file" in refused(tmp_path / "none.pt")
    assert "is a directory" in refused(tmp_path)


def test_tensors_that_do_not_fit_are_named(refused, tmp_path):
    state = under("encoder.", Clmrs())
    del (
        state["encoder.sequential.3.0.weight"],
        state["encoder.sequential.4.0.bias"],
        state["encoder.sequential.4.1.weight"],
    )
    del state["encoder.sequential.5.0.bias"], state["encoder.sequential.5.1.num_batches_tracked"]
    state["encoder.sequential.0.0.weight"] = torch.ones(128, 2, 3)
    state["encoder.attention.weight"] = torch.ones(4)
    said = refused(save(tmp_path / "clmr.pt", state))
    assert "does not fit the encoder 'sample_cnn'" in said
    names = "encoder.blocks.3.0.weight (256, 128, 3), encoder.blocks.4.0.bias (256,), encoder.blocks.4.1.weight (256,)"
    assert f"missing {names} and 1 more" in said
    assert "not the encoder's encoder.attention.weight (4,)" in said
    assert "of another shape encoder.blocks.0.0.weight (128, 2, 3) in place of (128, 1, 3)" in said


def test_weights_that_cannot_be_meant(refused, tmp_path):
    network = Clmrs()
    file = tmp_path / "clmr.pt"
    save(file, {**under("encoder.", network), **under("model.encoder.", trained(Clmrs()))})
    assert "holds two tensors sequential.0.0.weight that differ" in refused(file)
    save(file, under("encoder.", Clmrs((3, 3, 3, 3, 3, 3, 5, 2, 2))))
    assert (
        "of another sample rate (filters of 2, 3, 5): 'sample_cnn' is that of 22050 Hz"
        in refused(file)
    )
    save(
        file,
        {
            **under("encoder.", network),
            "encoder.sequential.2.0.bias": torch.full((128,), torch.nan),
        },
    )
    assert "not finite: in encoder.blocks.2.0.bias" in refused(file)
    for kind in (
        torch.int8,
        torch.complex64,
    ):  # a quantised bias without its scale, and half of a complex one
        save(
            file,
            {
                **under("encoder.", network),
                "encoder.sequential.2.0.bias": torch.ones(128, dtype=kind),
            },
        )
        word = str(kind).removeprefix("torch.")
        assert (
            f"floating-point numbers: of other numbers encoder.blocks.2.0.bias {word}"
            in refused(file)
        )
    save(file, under("encoder.", network))
    assert "unknown format 'clrm'; did you mean 'clmr'?" in refused(file, "--format", "clrm")
    assert "not Deezer's format" in refused(file, "--format", "deezer")
    assert "not TUNe's format" in refused(file, "--format", "tune")
    assert "does not fit the encoder 'tune'" in refused(file, "--encoder", "tune")
    assert "did you mean 'sample_cnn'" in refused(file, "--encoder", "sample_cn")
    assert "unknown setting of sample_cnn 'encoder.width'" in refused(file, "--encoder.width", 3)
    assert "takes settings of the encoder alone" in refused(file, "--train.steps", 3)
    assert "takes settings of the encoder alone" in refused(file, "--encoder.name", "tune")
    head = save(tmp_path / "head.pt", {"0.weight": torch.ones(50, 100), "0.bias": torch.ones(50)})
    assert "classifier.weight and bias are (50, 100) and (50,) behind a width of 512" in refused(
        file, "--head", head
    )
    assert "no head: expected one linear layer, or two" in refused(file, "--head", file)


def test_formats_are_told_by_names():
    assert detect(under("module.backbone.", Deezers())) == "deezer"
    assert detect(under("model.encoder.", Clmrs())) == "clmr"
    assert detect(under("encoder.", Tunes())) == "tune"
    for name in ("sample_cnn", "tune", "tune_plus", "short_chunk_cnn", "resnet_small", "resnet"):
        assert detect(own_weights(name)[1]) == "own", name
    with pytest.raises(InputError, match="not this project's own format: the file has b"):
        convert({"encoder.a": torch.ones(1), "b": torch.ones(1)}, "own")
    assert set(
        classifier({"model.0.weight": torch.ones(2, 3), "model.0.bias": torch.ones(2)})[0]
    ) == {
        "classifier.weight",
        "classifier.bias",
    }


def test_what_is_written_is_a_function_of_what_is_read(take, main, tmp_path):
    file = save(tmp_path / "clmr.pt", under("encoder.", trained(Clmrs())))
    out, _ = take(file)
    first = out.read_bytes()
    assert take(file)[0].read_bytes() == first  # written over: it is an import
    assert (
        main("import", file, "--out", file)[2]
        .rstrip()
        .endswith("is the file that is read: name another")
    )
    other = tmp_path / "precious.txt"
    other.write_text("mine")
    assert (
        "is there already, and not from `bench import`" in main("import", file, "--out", other)[2]
    )
    assert other.read_text() == "mine"
    assert "no such folder" in main("import", file, "--out", tmp_path / "none" / "w.safetensors")[2]
    plain = tmp_path / "plain.safetensors"
    safetensors.torch.save_file({"encoder.a": torch.ones(1)}, plain)
    with pytest.raises(InputError, match="was not written by `bench import`"):
        read_imported(plain)
    with pytest.raises(InputError, match="no file of `bench import`, or a damaged one"):
        read_imported(other)
    with pytest.raises(InputError, match="no such file"):
        read_imported(tmp_path / "none")


def test_imported_weights_are_a_cell_like_any_other(take, main, tones, tmp_path):
    _, state = own_weights("resnet_small", **SMALL)
    file = tmp_path / "own.safetensors"
    safetensors.torch.save_file(state, file)
    out, _ = take(file, "--encoder", "resnet_small", *SMALL_FLAGS)
    status, said, err = main(
        "run", "--weights", out, "--dataset", tones, "--device", "cpu", *TINY[4:8]
    )
    assert status == 0, err
    assert "imported" in said
    for method in ("random_init", "mfcc"):
        status, _, err = main(
            "run", "--weights", out, "--method", method, "--dataset", tones, "--dry-run"
        )
        assert status == 2
        assert f"method '{method}' learns nothing and takes no --weights" in err
