"""A pretraining that two nodes share: equal to one machine's, and resumed where it stopped."""

import subprocess

from tests.slurm.conftest import slurm, until
from tests.sweeping import Runner, write_sweep
from tests.troubles import write_troubles


def test_two_nodes_share_a_pretraining_and_resume_it(place, tmp_path):
    """In the middle the job is told to make room.

    Both tasks end at one step, and both go on from it.
    """
    runner, local = Runner(tmp_path / "slurm"), Runner(tmp_path / "local")
    plugins = ["--plugins", write_troubles(tmp_path, ["held"])]
    flags = runner.flagged()
    file = write_sweep(
        tmp_path / "two.toml", place.folder / "tones/tracks.csv", 'methods = ["trouble_held"]'
    )
    text = file.read_text().replace("steps = 6\n", "steps = 12\ncheckpoint_seconds = 1000\n", 1)
    shared = {
        "two.toml": "nodes = 2\nmemory_gb = 1.5",
        "one.toml": "tasks = 2\ncpus = 2\nmemory_gb = 3",
    }
    for name, words in shared.items():
        pretrain = "[resources.pretrain]\n"
        (tmp_path / name).write_text(text.replace(f"{pretrain}memory_gb = 1.5", pretrain + words))
    with slurm(nodes=2, cpus=2):
        runner("sweep", file, "--cluster", "slurm", *plugins)
        until(lambda: (flags / "held").exists())
        subprocess.run(["scancel", "--signal=USR2", (flags / "held").read_text()], check=True)
        (flags / "held-go").touch()
        assert runner.settled(file)["counts"] == {"done": 1}
    (job,) = (one for one in runner.home.glob("sweeps/*/jobs/*-pretrain"))
    assert len(list(job.glob("attempts/*"))) == 2
    steps = [line.split()[1] for line in (flags / "steps.txt").read_text().splitlines()]
    assert sorted(map(int, steps)) == sorted([*range(12), *range(12)]), (
        "each task takes each step once"
    )
    local("sweep", tmp_path / "one.toml", "--cluster", "local", *plugins)
    assert local.settled(tmp_path / "one.toml")["counts"] == {"done": 1}
    assert local.weights() == runner.weights()
    assert local.metrics() == runner.metrics()
