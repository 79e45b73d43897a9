"""Methods for tests of sweeps that train, write down every step that a process takes, and get into trouble once.

In the folder that the variable TROUBLE_FLAGS names, `trouble_NAME` leaves a file when its trouble
begins (with Slurm's id of its job) and a line in `steps.txt` for every step; without the variable
it trains undisturbed to the same weights.
"""

from collections.abc import Iterable
from itertools import groupby, pairwise
from pathlib import Path

TROUBLES = {
    "raise": 'raise RuntimeError("in trouble")',
    "exit": "sys.exit(3)",
    "kill": "os.kill(os.getpid(), signal.SIGKILL)",
    "memory": 'hoard = [bytes(2**24).replace(b"\\0", b"x") for _ in range(120)]; time.sleep(600)',
    # In C, with the interpreter's lock: no signal is heeded, no heart beats.
    "deaf": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); ctypes.PyDLL(None).sleep(600)",
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
                array, place = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
                own = f"{{array}}_{{place}}" if array else os.environ.get("SLURM_JOB_ID", str(os.getpid()))
                new = flag.with_suffix(f".{{os.getpid()}}")  # tasks of one job come here at the same time
                new.write_text(own)
                new.rename(flag)
                {do}
        first, second = (self.encoder(view) for view in batch.views)
        distance = ((first - second) ** 2).mean() + ((first.std(0) - 1) ** 2).mean()
        if flags:
            time.sleep({pause})
            with open(flags / "steps.txt", "a") as file:
                gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "-")
                file.write(f"{{NAME}}:{{self.start!r}} {{step}} {{os.getpid()}} {{time.time()}} {{gpus}}\\n")
        return method.Loss(distance, {{"distance": distance}})
'''


def write_troubles(folder: Path, names: Iterable[str], pause: float = 0.0) -> Path:
    """The folder of plug-ins with `trouble_NAME` for each name.

    Args:
        folder: where `plugins/` is made.
        names: of TROUBLES; "none..." has none, and any other name waits until somebody makes the
            file `NAME-go`.
        pause: seconds that every step takes in any case, but for the undisturbed.
    """
    methods = folder / "plugins/methods"
    methods.mkdir(parents=True, exist_ok=True)
    for name in names:
        do = "pass" if name.startswith("none") else TROUBLES.get(name, _HELD)
        (methods / f"trouble_{name}.py").write_text(_METHOD.format(name=name, do=do, pause=pause))
    return folder / "plugins"


def turns(flags: Path) -> dict[str, list[tuple[int, list[int]]]]:
    """Training -> the processes that were at it, one after the other, with the steps that each took."""
    lines = [line.split() for line in (flags / "steps.txt").read_text().splitlines()]
    found: dict[str, list[tuple[int, list[int]]]] = {}
    for training in dict.fromkeys(line[0] for line in lines):
        own = [(int(line[2]), int(line[1])) for line in lines if line[0] == training]
        found[training] = [
            (pid, [step for _, step in group])
            for pid, group in groupby(own, key=lambda one: one[0])
        ]
    return found


def require_one_at_a_time(flags: Path, steps: int, but: Iterable[str] = ()) -> None:
    """Makes sure that no two processes were at one training at the same time, and that none was done twice.

    Args:
        flags: the folder of TROUBLE_FLAGS.
        steps: that a training has.
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
