"""The work of one attempt: takes the leases of its job and computes what no other attempt is at."""

import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import InputError, LostProcessError
from bench.core.progress import say
from bench.core.versions import now
from bench.core.world import World
from bench.settings.specs import RunSpec
from bench.sweep import lease
from bench.sweep.attempt import FencedStore, RunningAttempt
from bench.sweep.state import Tree, this_process

if TYPE_CHECKING:
    from bench.stages.pretrain.processes import Processes

_LOOK_AGAIN_SECONDS = 1.0


def compute(job: Tree, attempt: RunningAttempt, name: str) -> int:
    """Computes a job, with the other tasks of it where there are some.

    Args:
        job: content of the job's file.
        attempt: the attempt that runs in this process.
        name: name of the job.

    Returns:
        Exit status: 1 when something failed, or when a product that later jobs need is left to
        another attempt; else 0.
    """
    os.chdir(job["cwd"])
    # The other tasks wait until they are told what to train, or that there is nothing to train.
    with _joined(job) as processes:
        return _compute_free(job, attempt, name, processes)


@contextmanager
def _joined(job: Tree) -> Iterator["Processes | None"]:
    """The processes of all tasks of the job; None where it has one task."""
    world = World.from_environment()
    if world.size == 1:
        yield None
        return
    from bench.stages.pretrain.processes import joined

    with joined(world, job["device"]) as processes:
        yield processes


def _compute_free(
    job: Tree, attempt: RunningAttempt, name: str, processes: "Processes | None"
) -> int:
    """Computes the part of a job whose leases are free; returns the exit status."""
    taken, others = _take_leases(job, attempt, Path(job["home"]))
    if others:
        say(
            f"{name}: {len(others)} of {len(job['leases'])} parts are in work by {others[0]}: "
            "left to it"
        )
    missed = set(job["leases"]) - taken
    cells = [cell for cell in job["cells"] if not missed & {cell["group"], f"cell-{cell['id']}"}]
    if not taken or (job["kind"] == "cells" and not cells):
        note = f"left to {others[0]}: launch again when that has ended"
        attempt.write(state="left", note=note, ended=now())
        # With status 0 Slurm starts the jobs that depend on this one. That is right after "prepare"
        # (they wait for the data by themselves) and after a probe (nothing depends on it). After
        # another stage they would not find its product.
        return 0 if job["kind"] == "prepare" or "probe" in job["stages"] else 1
    if job["kind"] == "prepare":
        failed = _prepare(job, attempt)
    else:
        failed = _compute_groups(job, attempt, cells, processes)
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    note = f"{failed[0]}{more}" if failed else ""
    attempt.write(state="failed" if failed else "done", note=note, ended=now())
    return 1 if failed else 0


def _take_leases(job: Tree, attempt: RunningAttempt, home: Path) -> tuple[set[str], list[str]]:
    """Takes the leases of a job.

    After it lost a node, Slurm can put a job in line again while the process on that node still
    lives. The new attempt then waits until the old one has ended or is taken for dead: no other job
    would do its work.

    Returns:
        Names of the leases that were taken, and the attempts that hold the others.
    """
    taken: set[str] = set()
    others: list[str] = []
    for name in job["leases"]:
        while True:
            result = lease.take(home, name, attempt.folder, this_process())
            if isinstance(result, lease.Lease):
                attempt.leases.append(result)
                taken.add(name)
                break
            other = result.get("attempt", "another attempt")
            if not attempt.status["restarts"] or Path(other).parent != attempt.folder.parent:
                others.append(other)
                break
            attempt.guard()
            time.sleep(_LOOK_AGAIN_SECONDS)
    return taken, others


def _prepare(job: Tree, attempt: RunningAttempt) -> list[str]:
    """Prepares the job's data set; returns no failure, for one is raised as an error."""
    from bench.settings.specs import PlugIn
    from bench.stages.prepare.stage import prepared

    store = FencedStore(Path(job["home"]), attempt, job)
    prepared(PlugIn.model_validate(job["dataset"]), job["rate"], store, "dataset")
    return []


def _compute_groups(
    job: Tree, attempt: RunningAttempt, cells: list[Tree], processes: "Processes | None"
) -> list[str]:
    """Computes the job's stages for some cells, group after group.

    A failure of one group does not keep the next from being computed, except where the next would
    meet the same trouble: a lost lease, a lost process, or a disk that is full.

    Returns:
        The message of each group that failed.
    """
    from bench.stages.run import encode, run
    from bench.stages.session import Place

    bases = {base: RunSpec.model_validate(spec) for base, spec in job["bases"].items()}
    store = FencedStore(Path(job["home"]), attempt, job)
    place = Place(store, Path(job["results"]), job["device"], attempt.guard)
    place = replace(place, processes=processes) if processes else place
    failed: list[str] = []
    for group in job["groups"]:
        members = [cell for cell in cells if cell["group"] == group]
        specs = [bases[cell["base"]].model_copy(update=cell["at"]) for cell in members]
        try:
            if "probe" not in job["stages"]:
                encode(specs, place, embed="embed" in job["stages"])
                continue
            for index, result in run(specs, place):
                cell = members[index]
                attempt.status["done"].append(cell["id"])
                attempt.write()
                score = result.metrics["map_macro"].value
                say(f"cell {cell['id']}: {cell['label']}: mAP {score:.3f}")
        except InputError as error:
            say(f"bench: {error}")
            attempt.guard()  # the error may come from a worker that was told to stop, too
            failed.append(str(error))
        except Exception as error:
            if len(job["groups"]) == 1 or isinstance(
                error, lease.LostLeaseError | LostProcessError | OSError
            ):
                raise
            traceback.print_exc()
            failed.append(f"{type(error).__name__}: {error}")
    return failed
