"""The part of the processes after process 0, where several pretrain together."""

import time
from contextlib import suppress

from bench.core.errors import DivergedError, InputError
from bench.settings.specs import RunSpec
from bench.stages.keys import Keys
from bench.stages.run import train_encoder
from bench.stages.session import Place, Session, device_of

_SEEN_SECONDS = 90.0  # longer than network disks keep what they know of a folder


def assist(place: Place) -> None:
    """Takes part in every pretraining that process 0 announces.

    Writes nothing; ends when process 0 has no more to do.

    Args:
        place: as that of process 0; the results folder is not looked at.

    Raises:
        InputError: this process would train something else, or cannot.
        LostProcessError: another process is gone.
        Stopped: a process was told to stop.
    """
    session = Session(place)
    rank = place.processes.world.rank
    for order in place.processes.orders():
        with place.processes.training():
            spec, device = RunSpec.model_validate(order["spec"]), device_of(place)
            _await_prepared(spec, place)
            cell = session.cell(0, spec)
            if cell.keys.pretrain != order["key"]:
                raise InputError(
                    f"process {rank} has other code or data than process 0: "
                    "its product would be another"
                )
            if device.type != order["device"]:
                raise InputError(
                    f"process 0 trains on {order['device']}, process {rank} has {device.type}"
                )
        with suppress(DivergedError):  # process 0 says it
            folder = place.store.folder("pretrained", cell.keys.pretrain)
            train_encoder(place, cell, device, folder)


def _await_prepared(spec: RunSpec, place: Place) -> None:
    """Waits until what process 0 has prepared is seen here.

    Network disks show new folders a little late.

    Raises:
        InputError: it is not seen; preparing it here, too, would keep the others waiting.
    """
    keys = Keys(spec, place.store)
    until = time.monotonic() + _SEEN_SECONDS
    for key in (keys.prepare, keys.prepare_pretrain):
        while not place.store.has("prepared", key):
            if time.monotonic() > until:
                folder = place.store.folder("prepared", key)
                raise InputError(
                    f"process {place.processes.world.rank} does not see {folder}, which process 0 "
                    "has: --home must be on a disk that all machines see"
                )
            time.sleep(0.2)
