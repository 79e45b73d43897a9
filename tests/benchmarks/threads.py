"""Training speed by how OpenMP's threads wait: alone, and beside another training.

    python tests/benchmarks/threads.py   (about a minute)

Prints training steps a second of the quick recipe. Each figure is from a process of its own, since
OpenMP reads its settings once. Waveforms are random: no data set is needed.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from bench.core import registry
from bench.data.frontend import to_waveform
from bench.method import Batch
from bench.settings.resolve import Request, resolve
from bench.stages.parts import frontend_of
from bench.stages.pretrain.loop import train
from bench.stages.session import check

SECONDS = 8.0
"""How long each training is timed."""


class TimeUpError(Exception):
    """The training has been timed for long enough; its argument is steps a second."""


def measure() -> None:
    """Prints training steps a second of VICReg on the small ResNet, front end included."""
    spec = resolve(Request("vicreg", 1.0))
    parts = check(spec)
    method = parts.build(spec, 0, multi_label=True)
    frontend = frontend_of(method)
    samples = round(
        parts.encoder_settings.seconds
        * registry.describe("encoders", spec.encoder.name)["SAMPLE_RATE"]
    )
    waveforms = torch.randint(-3000, 3000, (2, spec.train.batch_size, samples), dtype=torch.int16)
    start = time.monotonic()

    def make_batch(step: int) -> Batch:
        nonlocal start
        seconds = time.monotonic() - start
        if step == 1:  # step 0 warms up
            start = time.monotonic()
        elif step > 1 and seconds > SECONDS:
            raise TimeUpError((step - 1) / seconds)
        return Batch(tuple(frontend(to_waveform(view)) for view in waveforms))

    # No look at the representation and no checkpoint comes before the end, which is never reached.
    endless = {"steps": 10**6, "diagnose_times": 1, "checkpoint_seconds": 1e6}
    train_spec = spec.train.model_copy(update=endless)
    with tempfile.TemporaryDirectory() as folder:
        try:
            inputs = make_batch(0).views[0]
            train(method, make_batch, inputs, train_spec, 0, Path(folder), lambda *_: None)
        except TimeUpError as steps_a_second:
            print(steps_a_second)


def main() -> None:
    """Prints the table; its second row is what `bench` sets unless a variable is set already."""
    print(f"{os.cpu_count()} cores; training steps a second")
    print(f"{'setting':>24} {'alone':>8} {'beside another training':>24}")
    for setting in ({}, {"GOMP_SPINCOUNT": "1000"}, {"OMP_WAIT_POLICY": "PASSIVE"}):
        alone = _steps(setting, together=1)
        both = _steps(setting, together=2)
        name = ", ".join(f"{key}={value}" for key, value in setting.items()) or "OpenMP's own"
        print(f"{name:>24} {alone:>8.2f} {both:>24.2f}")


def _steps(setting: dict[str, str], together: int) -> float:
    """Mean steps a second of each of several trainings at once.

    Args:
        setting: variables of the environment, with which OpenMP starts.
        together: the number of trainings.
    """
    waiting = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    kept = {key: value for key, value in os.environ.items() if key not in waiting}
    command = [sys.executable, "-W", "ignore", __file__, "--measure"]
    started = [
        subprocess.Popen(command, env={**kept, **setting}, stdout=subprocess.PIPE, text=True)
        for _ in range(together)
    ]
    return sum(float(process.communicate()[0]) for process in started) / together


if __name__ == "__main__":
    measure() if "--measure" in sys.argv else main()
