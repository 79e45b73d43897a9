"""Several real processes give what a single one gives, and end when one of them dies."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import HashStore  # type: ignore[attr-defined]

from bench.core.errors import InputError, LostProcessError
from bench.core.store import Store
from bench.core.world import Part, World
from bench.settings.resolve import Request, resolve
from bench.stages.pretrain import processes as module
from bench.stages.pretrain.processes import ALONE, Processes, joined
from bench.stages.run import run
from bench.stages.session import Place
from tests import together
from tests.conftest import TINY, make_tones
from tests.methods.test_methods import TRAINED

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_gloo_available(), reason="this torch has no gloo"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(number: int, *command: object) -> Iterator[list["subprocess.Popen[str]"]]:
    """Starts the processes of a world as a launcher does, and kills what is left of them."""
    places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    begun = [
        subprocess.Popen(
            [sys.executable, "-m", *map(str, command)],
            env=os.environ
            | places
            | {"RANK": str(rank), "WORLD_SIZE": str(number), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for rank in range(number)
    ]
    try:
        yield begun
    finally:
        for process in begun:
            process.kill()
            process.wait()


def ended(begun: list["subprocess.Popen[str]"]) -> list[tuple[int, str, str]]:
    """Waits for processes; gives exit status, standard output and standard error of each."""
    texts = [process.communicate(timeout=120) for process in begun]
    return [(process.returncode, *text) for process, text in zip(begun, texts, strict=True)]


# Everything that a training does, compared with the same in this process.


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audio")
    together.audio(folder)
    return folder


@pytest.fixture(scope="module")
def pair(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of two processes that trained every method, were stopped, and diverged."""
    out = tmp_path_factory.mktemp("pair")
    with started(2, "tests.together", data, out, ",".join(together.METHODS)) as both:
        done = ended(both)
    assert [status for status, *_ in done] == [0, 0], done
    return out


def assert_same(
    ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], scale: float = 1e-5
) -> None:
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        atol = scale * max(1e-3, float(value.double().abs().max()))
        torch.testing.assert_close(
            theirs[name].double(), value.double(), rtol=scale, atol=atol, msg=name
        )


def assert_gives_what_one_gives(
    out: Path, name: str, data: Path, folder: Path, number: int
) -> None:
    method, history = together.trained(name, data, folder, ALONE)
    all_ranks = [torch.load(out / f"{rank}.pt", weights_only=True)[name] for rank in range(number)]
    assert_same(method.state_dict(), all_ranks[0]["weights"])
    for other in all_ranks[1:]:
        if name != "supervised":  # there, process 0 alone keeps the weights of the best step
            assert_same(all_ranks[0]["weights"], other["weights"], scale=0)
        assert other["curve"] == all_ranks[0]["curve"]
        assert other["looks"] == [], "process 0 looks"
    assert [point["step"] for point in history.diagnostics] == (
        [2, 4] if name == "supervised" else [2, 4, 6]
    )
    for ours, theirs in ((history.curve, "curve"), (history.diagnostics, "looks")):
        assert len(ours) == len(all_ranks[0][theirs]) > 0
        for mine, other in zip(ours, all_ranks[0][theirs], strict=True):
            assert other == pytest.approx(mine, rel=1e-4)


def test_every_method_that_trains_is_tried() -> None:
    assert set(together.METHODS) == set(TRAINED)


@pytest.mark.parametrize("name", together.METHODS)
def test_two_processes_give_what_one_gives(pair, data, tmp_path, name):
    assert_gives_what_one_gives(pair, name, data, tmp_path, 2)


def test_four_processes_give_what_one_gives_and_end_when_process_0_dies(data, tmp_path):
    with started(4, "tests.together", data, tmp_path, "clustering", "die") as four:
        done = ended(four)
    assert [status for status, *_ in done] == [-signal.SIGKILL, 1, 1, 1], done
    for rank in (1, 2, 3):
        assert f"LostProcessError: process {rank} of 4 has lost another one" in done[rank][2]
    assert_gives_what_one_gives(tmp_path, "clustering", data, tmp_path / "one", 4)


def test_two_processes_stop_at_one_step_and_any_number_goes_on(pair, data, tmp_path):
    """Process 1 alone is told to stop, in step 3.

    Both write one checkpoint after it, and go on to the same end.
    """
    assert [(pair / f"why-{rank}.txt").read_text().splitlines()[0] for rank in (0, 1)] == [
        "USR2",
        "USR2",
    ]
    name = list(together.METHODS)[-1]
    (tmp_path / "state.pt").write_bytes((pair / "stopped" / name / "copy.pt").read_bytes())
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 4
    undisturbed = torch.load(pair / "0.pt", weights_only=True)[name]
    for rank in (0, 1):
        resumed = torch.load(pair / f"resumed-{rank}.pt", weights_only=True)
        assert_same(undisturbed["weights"], resumed["weights"], scale=0)
        assert [point["step"] for point in resumed["curve"]] == [3, 6]
        assert resumed["curve"][1] == pytest.approx(undisturbed["curve"][1], rel=1e-6)
    method, history = together.trained(name, data, tmp_path, ALONE)
    assert_same(undisturbed["weights"], method.state_dict())
    assert history.curve[1] == pytest.approx(undisturbed["curve"][1], rel=1e-6)


def test_a_loss_that_is_not_finite_in_one_process_ends_all(pair):
    for rank in (0, 1):
        assert "not finite at step 3" in (pair / f"why-{rank}.txt").read_text().splitlines()[1]


@pytest.mark.parametrize("kind", together.NORMALISATIONS)
def test_batch_normalisation_sees_the_whole_batch(pair, kind):
    whole = together.normalised(Part(0, together.ITEMS, together.ITEMS))[kind]
    parts = [torch.load(pair / f"normalised-{rank}.pt", weights_only=True)[kind] for rank in (0, 1)]
    rtol, atol = (0.02, 0.05) if kind == "of half precision" else (1e-4, 1e-4)
    for name, value in whole.items():
        shared = parts[0][name]
        if name.startswith("gradient of"):
            shared = parts[0][name] + parts[1][name]
        elif name in ("output", "gradient"):
            shared = torch.cat([part[name] for part in parts])
        torch.testing.assert_close(shared, value, rtol=rtol, atol=atol, msg=f"{kind}: {name}")


# The place of a process in its world.


def test_what_a_launcher_says_is_read_or_refused():
    meeting = {"MASTER_ADDR": "here", "MASTER_PORT": "1"}
    assert (
        World.from_environment({}) == World.from_environment({"WORLD_SIZE": "1"}) == World(0, 1, 0)
    )
    assert World.from_environment(
        {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", **meeting}
    ) == World(3, 4, 1)
    for wrong, says in (
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR is not set"),
        ({"WORLD_SIZE": "2", **meeting}, "RANK is not set"),
        ({"WORLD_SIZE": "2", "RANK": "2", **meeting}, "RANK 2: of 2"),
        ({"WORLD_SIZE": "two"}, "'two'.* not a whole number"),
    ):
        with pytest.raises(InputError, match=says):
            World.from_environment(wrong)
    assert World(1, 4).part(8) == Part(2, 4, 8)
    with pytest.raises(
        InputError,
        match=r"batch of 9 cannot be shared equally by 4 processes: give --train.batch_size 8",
    ):
        World(1, 4).part(9)


# Processes that are gone.


def test_who_does_not_come_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", timedelta(seconds=1))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    with (
        pytest.raises(LostProcessError, match="process 1 of 2 did not find the others"),
        joined(World(1, 2), "cpu"),
    ):
        pass


# The command line.


def command(tones: Path, home: Path, *more: str, steps: int = 30) -> list[str]:
    """The arguments of a small `bench run`."""
    return [
        *("bench", "run", "--method", "vicreg", "--augment", "log_mel", "--dataset", str(tones)),
        *TINY,
        *("--home", str(home), "--results", str(home / "results"), "--steps", str(steps), "--json"),
        *more,
    ]


def result(home: Path) -> Any:
    """The only stored result."""
    (stored,) = home.glob("results/runs/*.json")
    return json.loads(stored.read_text())


def test_torchrun_a_kill_and_one_process_that_goes_on_meet_at_the_same_product(tmp_path):
    tones = make_tones(tmp_path / "tones")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    launched = subprocess.run(
        [sys.executable, "-m", *launch, *command(tones, whole)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert launched.returncode == 0, launched.stderr
    rows = json.loads(launched.stdout)["rows"]  # one process prints
    assert launched.stderr.count("mAP") == 1
    assert result(whole)["device"].startswith("2 x cpu")

    again = command(tones, killed, "--train.checkpoint_seconds", "0.001")
    with started(2, *again) as both:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list(killed.glob("pretrained/*.part/state.pt")):
            time.sleep(0.002)
        both[1].kill()
        since = time.monotonic()
        done = ended(both)
        assert time.monotonic() - since < 30
    assert done[1][0] == -signal.SIGKILL, (
        "it was over before it could be killed: nothing was tested"
    )
    assert done[0][0] == 1
    assert "has lost another one" in done[0][2].splitlines()[-1]
    assert "Traceback" not in done[0][2]
    subprocess.run([sys.executable, "-m", *again], cwd=ROOT, check=True, capture_output=True)
    assert not list(killed.glob("pretrained/*.part"))
    ours, theirs = result(killed), result(whole)
    assert ours["products"] == theirs["products"]
    assert ours["training"]["views"] == theirs["training"]["views"]
    first, last = (
        [stored["training"]["curve"][place] for stored in (ours, theirs)] for place in (0, -1)
    )
    assert first[1] == pytest.approx(first[0], rel=1e-3)
    assert last[1] == pytest.approx(last[0], rel=0.2)

    with started(2, *command(tones, whole)) as both:  # every product is there already
        done = ended(both)
    assert [status for status, *_ in done] == [0, 0], done
    assert done[1][1:] == ("", ""), "process 1 prints nothing"
    assert json.loads(done[0][1])["rows"] == rows


def test_a_batch_that_cannot_be_shared_is_refused_before_the_data_are_prepared(tmp_path):
    request = Request("vicreg", 1.0, dataset=str(make_tones(tmp_path / "tones")))
    spec = resolve(dataclasses.replace(request, overrides={"train": {"batch_size": 7}}))
    first = Processes(World(0, 2), HashStore())
    with pytest.raises(InputError, match="a batch of 7 cannot be shared equally by 2 processes"):
        list(
            run(
                [spec],
                Place(Store(tmp_path / "home"), tmp_path / "results", "cpu", processes=first),
            )
        )
    assert not (tmp_path / "home").exists()
