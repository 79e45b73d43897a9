"""Training steps a second of the quick recipe, by how OpenMP's threads wait: alone, and beside another training.

Run: python tests/benchmarks/threads.py   (about a minute)

Each figure is a process of its own, since OpenMP reads its settings once. Waveforms are random: no
data set is needed.
"""

import os
import subprocess
import sys
import time

from bench.settings.resolve import Request, resolve
from bench.stages.parts import frontend_of
from bench.stages.session import check

SECONDS = 8.0


def measure() -> None:
    """Prints steps a second: front end, VICReg on the small ResNet, AdamW, as `bench run --recipe quick` does them."""
    import torch

    from bench.core import registry
    from bench.data.frontend import to_waveform
    from bench.method import Batch
    from bench.settings.specs import TrainSpec
    from bench.stages.pretrain import loop

    spec = resolve(Request("vicreg", 1.0))
    parts = check(spec)
    method = parts.build(spec, 0, multi_label=True)
    frontend = frontend_of(method)
    samples = round(
        parts.encoder_settings.seconds
        * registry.describe("encoders", spec.encoder.name)["SAMPLE_RATE"]
    )
    waveforms = torch.randint(-3000, 3000, (2, spec.train.batch_size, samples), dtype=torch.int16)
    state = loop._Loop(
        method, loop._optimiser(method, TrainSpec()), loop.History(), loop._Pending(1), {}
    )
    steps, start = -1, time.monotonic()
    while time.monotonic() - start < SECONDS:
        if steps == 0:  # the first step warms up
            start = time.monotonic()
        batch = Batch(tuple(frontend(to_waveform(view)) for view in waveforms))
        loop._step(state, batch, max(0, steps), spec.train, 0, None)
        steps += 1
    print(max(0, steps) / (time.monotonic() - start))


def main() -> None:
    """Prints the table.

    The second row is what `bench` sets unless one of the two variables is set already.
    """
    print(f"{os.cpu_count()} cores; training steps a second")
    print(f"{'setting':>24} {'alone':>8} {'beside another training':>24}")
    for setting in ({}, {"GOMP_SPINCOUNT": "1000"}, {"OMP_WAIT_POLICY": "PASSIVE"}):
        alone = _steps(setting, together=1)
        both = _steps(setting, together=2)
        name = ", ".join(f"{key}={value}" for key, value in setting.items()) or "OpenMP's own"
        print(f"{name:>24} {alone:>8.2f} {both:>24.2f}")


def _steps(setting: dict[str, str], together: int) -> float:
    """Mean steps a second of so many trainings at once."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    command = [sys.executable, "-W", "ignore", __file__, "--measure"]
    started = [
        subprocess.Popen(command, env={**kept, **setting}, stdout=subprocess.PIPE, text=True)
        for _ in range(together)
    ]
    return sum(float(process.communicate()[0]) for process in started) / together


if __name__ == "__main__":
    measure() if "--measure" in sys.argv else main()
