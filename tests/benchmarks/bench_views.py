"""What augmentation costs in training: SampleCNN with CLMR's chain, and without any.

    python tests/benchmarks/bench_views.py    (a minute or two on 2 cores)

Options: --batch --steps --repeats --threads --device --dtype --augment. Both trainings do the same
steps: two views through the encoder, a loss like VICReg's, backward and AdamW. One is fed with
int16 crops that are converted and go through the chain; the other with float tensors that lie in
memory, which is the limit that the encoder sets. They are timed in turn; the least time of each
counts.
"""

import argparse
import os
import time
from collections.abc import Callable

import torch
from torch import Tensor

from bench.core import registry
from bench.data.augment import Chain
from bench.data.frontend import to_waveform
from bench.settings.augmentations import AugmentSpec, preset


def main() -> None:
    """Prints views a second of both and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--batch", type=int, default=48, help="tracks a step, of two views each (96 is CLMR's)"
    )
    parser.add_argument("--steps", type=int, default=2, help="of each turn")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--augment", default="clmr")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    module = registry.load("encoders", "sample_cnn")
    torch.manual_seed(0)
    encoder = module.Encoder(module.Settings()).to(device).train()
    samples, rate = round(encoder.settings.seconds * module.SAMPLE_RATE), module.SAMPLE_RATE
    chain = Chain(AugmentSpec.model_validate(preset(options.augment)), rate)
    crops = torch.randint(-8_000, 8_000, (2, options.batch, samples), dtype=torch.int16)
    tensors = to_waveform(crops.to(device))
    step = training(encoder, device, getattr(torch, options.dtype))

    def with_chain(number: int) -> None:
        views = [
            chain.waveform(to_waveform(part.to(device, non_blocking=True)), number, view)
            for view, part in enumerate(crops)
        ]
        step(*views)

    runs: dict[str, Callable[[int], None]] = {
        "from memory": lambda _: step(*tensors),
        "with the chain": with_chain,
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(options.repeats + 1):
        for name, run in runs.items():
            wait(device)
            start = time.perf_counter()
            for number in range(options.steps if repeat else 1):
                run(repeat * options.steps + number)
            wait(device)
            seconds[name].append(time.perf_counter() - start)
    views = 2 * options.batch * options.steps
    best = {name: min(times[1:]) for name, times in seconds.items()}
    print(
        f"sample_cnn, {options.batch} x 2 views of {samples} samples, {device}, "
        f"{options.threads} threads, {options.dtype}, load {os.getloadavg()[0]:.1f}; "
        f"best of {options.repeats} turns"
    )
    for name, least in best.items():
        print(f"{name:<16}{views / least:>9.1f} views/s")
    print(f"{'ratio':<16}{best['from memory'] / best['with the chain']:>9.2f}")


def training(
    encoder: torch.nn.Module, device: torch.device, dtype: torch.dtype
) -> Callable[[Tensor, Tensor], None]:
    """A function that does one optimiser step on two views, each (batch, samples)."""
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=1e-4)

    def step(first: Tensor, second: Tensor) -> None:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            left, right = encoder(first).float(), encoder(second).float()
        spread = sum((1 - (view.var(0) + 1e-4).sqrt()).relu().mean() for view in (left, right))
        loss = (left - right).square().mean() + spread
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def wait(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
