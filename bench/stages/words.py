"""What stages say of themselves: titles of progress bars, notes, and names of devices.

No number depends on this file, so that no key looks at it (see `bench.core.code`): a title may be
reworded without anything being computed again.
"""

import torch

from bench.core.progress import say


def pretrain_title(method: str, labelled: int | None) -> str:
    """Title of a pretraining.

    Args:
        method: its name.
        labelled: how many labelled tracks it learns from; None where it uses no labels.
    """
    return f"pretrain {method}" + ("" if labelled is None else f" on {labelled} labelled tracks")


def finetune_title(learning_rate: float) -> str:
    """Title of fine-tuning at one learning rate of its grid."""
    return f"fine-tune at {learning_rate:g}"


def embed_title(method: str) -> str:
    """Title of embedding all tracks."""
    return f"embed {method}"


def probe_title(kind: str, cells: int, method: str) -> str:
    """Title of the training of probes, those of several cells at once."""
    return f"{kind} probes of {cells} cells of {method}"


def batch_cut(asked: int, size: int) -> str:
    """Note that there are fewer tracks than a batch was to have."""
    return f"batch of {asked} cut to {size}: there are no more tracks to pretrain on"


def too_short(tight: int, tracks: int, min_gap_seconds: float) -> str:
    """Note that some tracks are too short for two segments with the gap that was asked for."""
    apart = f"two segments {min_gap_seconds:g} s apart"
    return f"{tight} of {tracks} tracks are too short for {apart}: taken as far apart as they go"


def device_name(device: torch.device, processes: int = 1) -> str:
    """What computed, for the record, such as "2 x cuda (NVIDIA H100)" or "cpu (2 threads)"."""
    if device.type == "cuda":
        name = f"cuda ({torch.cuda.get_device_name(device)})"
    else:
        name = f"cpu ({torch.get_num_threads()} threads)"
    return f"{processes} x {name}" if processes > 1 else name


def tell(notes: list[str], title: str) -> None:
    """Says what a stage had to do otherwise than was asked."""
    for note in notes:
        say(f"{title}: {note}")
