"""Methods for tests of sweeps, which train and get into trouble once.

In the folder that the environment variable TROUBLE_FLAGS names, `trouble_NAME` leaves a file when
its trouble begins (with Slurm's id of its job), and writes a line to `steps.txt` for every step
that a process takes. Without the variable it trains undisturbed to the same weights.
"""

from collections.abc import Iterable
from itertools import groupby, pairwise
from pathlib import Path

TROUBLES = {
    "raise": 'raise RuntimeError("in trouble")',
    "exit": "sys.exit(3)",
    "kill": "os.kill(os.getpid(), signal.SIGKILL)",
    "memory": 'hoard = [bytes(2**24).replace(b"\\0", b"x") for _ in range(120)]; time.sleep(600)',
    # Sleeps in C and keeps the interpreter's lock: no signal is handled and the heartbeat stops.
    "deaf": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); "
        "ctypes.PyDLL(None).sleep(600)"
    ),
}
_HELD = 'while not (flags / f"{NAME}-go").exists(): time.sleep(0.05)'
_METHOD = '''"""Two views agree; its process gets into trouble once."""
import ctypes, os, signal, sys, time
from pathlib import Path
from bench import method
PAPER, COST = "nobody", "one encoder pass over two views"
NAME = "{name}"
class Settings(method.Settings):
    """None."""
class Method(method.Method):
    """The encoder alone."""
    def __init__(self, encoder, width, settings, task):
        super().__init__(encoder, width, settings, task)
        self.start = sum(float(one.sum()) for one in encoder.parameters())  # the seed's
    def forward(self, batch, step):
        flags = Path(os.environ["TROUBLE_FLAGS"]) if "TROUBLE_FLAGS" in os.environ else None
        if flags and step >= 3:
            flag = flags / NAME
            if not flag.exists():
                array = os.environ.get("SLURM_ARRAY_JOB_ID")
                place = os.environ.get("SLURM_ARRAY_TASK_ID")
                single = os.environ.get("SLURM_JOB_ID", str(os.getpid()))
                # tasks of one job come here at the same time
                new = flag.with_suffix(f".{{os.getpid()}}")
                new.write_text(f"{{array}}_{{place}}" if array else single)
                new.rename(flag)
                {do}
        first, second = (self.encoder(view) for view in batch.views)
        distance = ((first - second) ** 2).mean() + ((first.std(0) - 1) ** 2).mean()
        if flags:
            time.sleep({pause})
            with open(flags / "steps.txt", "a") as file:
                gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "-")
                at = f"{{step}} {{os.getpid()}} {{time.time()}}"
                file.write(f"{{NAME}}:{{self.start!r}} {{at}} {{gpus}}\\n")
        return method.Loss(distance, {{"distance": distance}})
'''


def write_troubles(folder: Path, names: Iterable[str], pause: float = 0.0) -> Path:
    """Writes the method `trouble_NAME` for each name into a folder of plug-ins; returns the folder.

    Args:
        folder: folder in which `plugins/` is made.
        names: keys of TROUBLES; names that begin with "none" have no trouble, and any other name
            waits until somebody makes the file `NAME-go`.
        pause: seconds that every step takes at least, where TROUBLE_FLAGS is set.
    """
    methods = folder / "plugins/methods"
    methods.mkdir(parents=True, exist_ok=True)
    for name in names:
        do = "pass" if name.startswith("none") else TROUBLES.get(name, _HELD)
        (methods / f"trouble_{name}.py").write_text(_METHOD.format(name=name, do=do, pause=pause))
    return folder / "plugins"


def turns(flags: Path) -> dict[str, list[tuple[int, list[int]]]]:
    """The processes at each training, one after the other, with the steps that each took."""
    lines = [line.split() for line in (flags / "steps.txt").read_text().splitlines()]
    processes: dict[str, list[tuple[int, list[int]]]] = {}
    for training in dict.fromkeys(line[0] for line in lines):
        steps = [(int(line[2]), int(line[1])) for line in lines if line[0] == training]
        processes[training] = [
            (pid, [step for _, step in group])
            for pid, group in groupby(steps, key=lambda taken: taken[0])
        ]
    return processes


def require_one_at_a_time(flags: Path, steps: int, but: Iterable[str] = ()) -> None:
    """Checks that one process at a time was at each training, and that no step was done twice.

    Args:
        flags: the folder of TROUBLE_FLAGS.
        steps: number of steps of a training.
        but: names of troubles that are still at work.
    """
    for training, processes in turns(flags).items():
        if training.split(":")[0] in but:
            continue
        pids = [pid for pid, _ in processes]
        assert len(pids) == len(set(pids)), f"{training}: two processes by turns: {processes}"
        for (_, before), (_, after) in pairwise(
            processes
        ):  # a checkpoint is written after every step
            assert before[-1] <= after[0] <= before[-1] + 1, (
                f"{training}: a step left out or done again: {processes}"
            )
        assert processes[-1][1][-1] == steps - 1, f"{training}: not finished: {processes}"
