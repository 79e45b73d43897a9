"""Imported weights are checked against the encoder, and are a cell like any other."""

import pytest
import safetensors.torch
import torch

from bench.core.errors import InputError
from bench.weights.imported import read_imported
from tests.conftest import TINY
from tests.reference_networks import Clmrs, Deezers, trained
from tests.weights.files import SMALL, SMALL_FLAGS, own_weights, save, under

pytestmark = pytest.mark.usefixtures("one_thread")


def test_another_log_mel_than_ours_is_not_taken_for_ours(refused, tmp_path):
    network = Deezers()
    network.spec.spec.mel_scale.fb *= 1.01
    file = save(tmp_path / "theirs.pt", under("backbone.", network))
    assert "mel.mel_scale.fb differs by up to" in refused(file)


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
    names = (
        "encoder.blocks.3.0.weight (256, 128, 3), encoder.blocks.4.0.bias (256,), "
        "encoder.blocks.4.1.weight (256,)"
    )
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
    # A quantised bias without its scale, and a complex one, of which half would be lost.
    for kind in (torch.int8, torch.complex64):
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
