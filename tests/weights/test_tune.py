"""TUNe's networks give the same embeddings under the authors' names and under ours."""

import pytest
import torch

from bench.weights.imported import read_imported
from tests.reference_networks import Tunes, trained
from tests.weights.files import CLOSE, embed, music, save, under

pytestmark = pytest.mark.usefixtures("one_thread")


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
