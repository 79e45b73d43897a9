"""Training steps a second of the quick recipe: OpenMP's threads spinning or sleeping, alone and beside a busy process.

Run: python tests/benchmarks/threads.py   (about a minute)

Each figure is a process of its own, since OpenMP reads its settings once. Waveforms are random: no data set is needed.
"""

import os
import subprocess
import sys
import time

SECONDS = 10.0


def measure() -> None:
    """Prints steps a second: front end, VICReg on the small ResNet, AdamW, as `bench run --recipe quick` does them."""
    import torch

    from bench import plan, registry, run, stages
    from bench.config import TrainSpec
    from bench.data.frontend import to_waveform
    from bench.method import Batch
    from bench.train import loop

    spec = plan.resolve(plan.Request("vicreg", 1.0))
    parts = run.check(spec)
    method = parts.build(spec, 0, multi_label=True)
    frontend = stages.frontend_of(method)
    samples = round(parts.encoder_settings.seconds * registry.describe("encoders", spec.encoder.name)["SAMPLE_RATE"])
    waveforms = torch.randint(-3000, 3000, (2, spec.train.batch_size, samples), dtype=torch.int16)
    state = loop._Loop(method, loop._optimiser(method, TrainSpec()), loop.History(), loop._Pending(1), {})
    steps, start = -3, time.monotonic()
    while time.monotonic() - start < SECONDS:
        if steps < 0:
            start = time.monotonic()
        batch = Batch(tuple(frontend(to_waveform(view)) for view in waveforms))
        loop._step(state, batch, max(0, steps), spec.train, 0, None)
        steps += 1
    print(steps / (time.monotonic() - start))


def main() -> None:
    """Prints the table."""
    print(f"{os.cpu_count()} cores; training steps a second")
    print(f"{'OMP_WAIT_POLICY':>16} {'alone':>8} {'beside a busy process':>22}")
    for policy in ("ACTIVE", "PASSIVE"):
        figures = []
        for busy in (False, True):
            other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
            try:
                environment = {**os.environ, "OMP_WAIT_POLICY": policy}
                command = [sys.executable, "-W", "ignore", __file__, "--measure"]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            finally:
                if other:
                    other.kill()
            figures.append(float(done.stdout))
        print(f"{policy:>16} {figures[0]:>8.2f} {figures[1]:>22.2f}")


if __name__ == "__main__":
    measure() if "--measure" in sys.argv else main()
