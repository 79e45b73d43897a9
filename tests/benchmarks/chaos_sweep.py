"""A sweep whose processes are killed at random ends complete, and equal to an undisturbed one.

    python tests/benchmarks/chaos_sweep.py
        [--kills 100] [--cells 50] [--cluster local|slurm] [--seed 0]

Each blow hits a job process (mostly with SIGKILL, else SIGTERM or SIGUSR2), the local scheduler, or
a job of Slurm (scancel, scontrol requeue), in every phase of the work. Whenever nothing is under
way, the same command starts the sweep again. Slurm is the one of this machine:
`tests/slurm/start-slurm.sh` starts one. Prints how often what was hit in which phase.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.core.store import read_json
from bench.sweep.read import read_sweep
from bench.sweep.state import SweepFolder, folder_of
from bench.sweep.status import ACTIVE, read_status
from tests.conftest import make_tones
from tests.sweeping import Runner, write_sweep
from tests.troubles import require_one_at_a_time, write_troubles

STEPS = 12
PHASES = ("starting", "pretraining", "embedding, probing", "between cells")


@dataclass
class Chaos:
    """A sweep under random kills.

    Attributes:
        runner: calls the command `bench` for the disturbed sweep.
        file: the sweep file.
        folder: the sweep's state.
        cluster: "local" or "slurm".
        kills: number of blows to deal.
        random: generator that chooses what is hit, how and when.
        undisturbed: calls the command for the same sweep without blows.
        reference: the process that computes the undisturbed sweep.
        blows: (what was hit, phase) -> how often.
        launches: how often the sweep was started.
        ahead: by how much the share of dealt blows exceeds the share of finished cells.
        hurried: whether blows may fall early, and in any phase.
    """

    runner: Runner
    file: Path
    folder: SweepFolder
    cluster: str
    kills: int
    random: random.Random
    undisturbed: Runner
    reference: "subprocess.Popen[str]"
    blows: Counter[tuple[str, str]] = field(default_factory=Counter)
    launches: int = 0
    ahead: float = 0.0
    hurried: bool = False

    def launch(self) -> None:
        """Starts what is not done yet, as a user does."""
        plugins = ["--plugins", self.runner.folder / "plugins"]
        again = ["--only", "missing,failed,stopped"]
        self.runner(
            "sweep", self.file, "--cluster", self.cluster, *again, "--device", "cpu", *plugins
        )
        self.launches += 1

    def run(self, seconds: float) -> None:
        """Deals all blows while the sweep runs, then lets it end.

        Args:
            seconds: time after which an incomplete sweep is an error.
        """
        deadline = time.monotonic() + seconds
        self.launch()
        while True:
            status = read_status(self.folder, self.runner.results, max_age=1.0)
            done = status.counts["done"] / len(status.cells)
            if done == 1:
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"not complete after {seconds:.0f} s: {dict(status.counts)}")
            dealt = sum(self.blows.values())
            # Blows keep pace with the work, so that they fall on all of it; they are a little ahead
            # of it, so that none is left at the end.
            self.ahead = (dealt + 1) / self.kills - 1.2 * done
            if not any(status.counts[state] for state in ACTIVE):
                self.launch()
            elif dealt < self.kills and self._strike():
                time.sleep(
                    self.random.uniform(0.0, 0.3)
                    + max(0.0, min(1.0 if self.hurried else 6.0, 60 * self.ahead))
                )
            else:
                time.sleep(0.3)

    def _strike(self) -> bool:
        """Deals one blow; returns False if there was nothing to hit."""
        kind = self.random.random()
        if self.cluster == "local" and kind < 0.08:
            return self._hit(
                _processes(f"bench.sweep.local {self.folder.path}"), [signal.SIGKILL], "scheduler"
            )
        if self.cluster == "slurm" and kind < 0.25:
            asked = ["squeue", "--noheader", "--array", "--states=running", "-o", "%i"]
            jobs = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
            if not jobs:
                return False
            command = self.random.choice([["scancel"], ["scontrol", "requeue"]])
            done = subprocess.run(
                [*command, self.random.choice(jobs)], capture_output=True, check=False
            )
            self.blows[" ".join(command), "any"] += not done.returncode
            return not done.returncode
        module = "bench.sweep.job" if self.cluster == "local" else "submitit.core._submit"
        mark = f"{module} {self.folder.path}"
        wanted = self.random.choice(PHASES)
        # Waits for a process in the wanted phase; where none comes, any process is hit.
        for _ in range(60 if self.ahead > 0 and not self.hurried else 5):
            pids = [pid for pid in _processes(mark) if self._phase(pid) == wanted]
            if pids:
                break
            time.sleep(0.1)
        signals = [signal.SIGKILL] * 7 + [signal.SIGTERM, signal.SIGUSR2]
        return self._hit(pids or _processes(mark), signals, "")

    def _hit(self, pids: list[int], signals: list[signal.Signals], what: str) -> bool:
        """Sends a random one of the signals to a random one of the processes, and counts it."""
        if not pids:
            return False
        pid, number = self.random.choice(pids), self.random.choice(signals)
        phase = self._phase(pid)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        self.blows[f"{what} {number.name}".strip(), "any" if what else phase] += 1
        return True

    def _phase(self, pid: int) -> str:
        """Which of PHASES a job's process is in."""
        for path in self.folder.path.glob("jobs/*/attempts/*/status.json"):
            status = read_json(path)
            if status["process"]["pid"] == pid and status["state"] == "running":
                if status["done"]:
                    return "between cells"
                steps = self.runner.folder / "flags/steps.txt"
                lines = (
                    [line.split() for line in steps.read_text().splitlines()]
                    if steps.exists()
                    else []
                )
                own = [int(line[1]) for line in lines if len(line) == 5 and line[2] == str(pid)]
                return (
                    "starting"
                    if not own
                    else "pretraining"
                    if own[-1] < STEPS - 1
                    else "embedding, probing"
                )
        return "starting"

    def table(self) -> str:
        """A table of how often what was hit, by phase."""
        phases = [*PHASES, "any"]
        lines = [f"{'':<20}" + "".join(f"{phase:>20}" for phase in phases)]
        for what in sorted({what for what, _ in self.blows}):
            lines.append(
                f"{what:<20}" + "".join(f"{self.blows[what, phase]:>20}" for phase in phases)
            )
        return "\n".join(lines)


def _processes(mark: str) -> list[int]:
    """Ids of the Python processes whose command line holds a text."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in words and "srun" not in words.split(" ")[0] and "python" in words.split(" ")[0]:
            pids.append(int(path.parent.name))
    return pids


def prepare(
    folder: Path,
    cluster: str,
    cells: int,
    kills: int,
    seed: int = 0,
    resources: str = "",
    share: int = 2,
) -> Chaos:
    """Writes a sweep that is to be disturbed, and starts the same sweep undisturbed.

    Args:
        folder: where all files of both lie.
        cluster: "local" or "slurm".
        cells: number of cells.
        kills: number of blows.
        seed: seed of the generator that chooses the blows.
        resources: further lines for the section [resources.pretrain] of the sweep file.
        share: how many cells share a pretraining.
    """
    runner, undisturbed = Runner(folder / "chaos"), Runner(folder / "undisturbed")
    tones = make_tones(folder / "tones")
    plugins = write_troubles(runner.folder, ["none"], pause=0.1)
    fractions = [round(1 - 0.1 * place, 1) for place in range(share)]
    seeds = list(range(cells // share))
    axes = f'methods = ["trouble_none"]\nfractions = {fractions}\nseeds = {seeds}'
    file = write_sweep(runner.folder / "chaos.toml", tones, axes, "[site]\njobs_at_once = 3\n")
    text = file.read_text().replace("[resources.pretrain]", f"[resources.pretrain]\n{resources}")
    file.write_text(
        text.replace("steps = 6\n", f"steps = {STEPS}\ncheckpoint_seconds = 0.001\n", 1)
    )
    reference = undisturbed.start(
        "sweep", file, "--cluster", "inline", "--device", "cpu", "--plugins", plugins
    )
    runner.flagged()
    sweep = read_sweep(str(file))
    state = folder_of(runner.home, sweep.name, sweep.identity)
    return Chaos(runner, file, state, cluster, kills, random.Random(seed), undisturbed, reference)


def verify(chaos: Chaos) -> None:
    """Asserts that no cell is missing or done twice, and all are equal to the undisturbed ones."""
    out, err = chaos.reference.communicate(timeout=1200)
    assert not chaos.reference.returncode, (out, err)
    disturbed, undisturbed = chaos.runner.metrics(), chaos.undisturbed.metrics()
    assert len(disturbed) == len(read_status(chaos.folder, chaos.runner.results).cells)
    assert disturbed == undisturbed
    assert chaos.runner.weights() == chaos.undisturbed.weights()
    require_one_at_a_time(chaos.runner.folder / "flags", STEPS)
    assert not list(chaos.runner.home.glob("*/*.part"))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--cells", type=int, default=50)
    parser.add_argument("--cluster", choices=["local", "slurm"], default="local")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        made = prepare(Path(name), given.cluster, given.cells, given.kills, given.seed)
        made.run(seconds=7200)
        verify(made)
        attempts = len(list(made.folder.path.glob("jobs/*/attempts/*")))
        print(made.table())
        print(
            f"{given.cells} cells, {sum(made.blows.values())} blows, {made.launches} launches, "
            f"{attempts} attempts, {time.monotonic() - started:.0f} s: "
            "complete, equal to the undisturbed sweep, nothing twice"
        )


if __name__ == "__main__":
    main()
