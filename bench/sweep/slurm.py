"""Launching on Slurm, as arrays of jobs through submitit; the only file that imports submitit."""

import math
import os
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.core.errors import InputError
from bench.sweep.snapshot import environment
from bench.sweep.spec import ResourcesSpec, SiteSpec
from bench.sweep.state import SweepFolder, Tree


class SlurmJob:
    """What submitit pickles and calls on a node: three names, since all state is on disk."""

    def __init__(self, folder: str, name: str, launch: str) -> None:
        """Names a job.

        Args:
            folder: folder of the sweep.
            name: name of the job.
            launch: number of the launch.
        """
        self.folder, self.name, self.launch = folder, name, launch

    def __call__(self) -> None:
        """Makes one attempt at the job; each task of a job that has several calls it."""
        from bench.sweep.job import run_task

        if int(os.environ.get("SLURM_NTASKS", "1")) > 1:
            from submitit.helpers import TorchDistributedEnvironment

            # Every start of the job has a port of its own: a process of the last start may still
            # hold the last port. All tasks must agree on it, so it is drawn from what they share.
            times = f"{os.environ['SLURM_JOB_ID']} {os.environ.get('SLURM_RESTART_COUNT', 0)}"
            os.environ["MASTER_PORT"] = str(random.Random(times).randint(20_000, 32_000))
            # Each task sees all GPUs of the job on its node, and takes the one with its local rank.
            TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        status = run_task(Path(self.folder), self.name, self.launch)
        if status:
            sys.exit(status)

    def checkpoint(self, *_: Any) -> Any:
        """Answers a signal that comes before the attempt has begun: submit the same job again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def require_slurm() -> None:
    """Makes sure that jobs can be handed in.

    Raises:
        InputError: there is no Slurm here, or it does not answer.
    """
    try:
        done = subprocess.run(
            ["scontrol", "ping"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError):
        raise InputError(
            "--cluster slurm: no Slurm here (scontrol is not found); give --cluster local"
        ) from None
    if "is UP" not in done.stdout:
        raise InputError(
            "--cluster slurm: slurmctld does not answer: scontrol ping, or give --cluster local"
        )


def submit(
    folder: SweepFolder,
    launch: Path,
    jobs: list[Tree],
    site: SiteSpec,
    name: str,
    earlier: dict[str, str],
) -> Iterator[dict[str, str]]:
    """Hands jobs in, as arrays of equal needs.

    Args:
        folder: folder of the sweep.
        launch: folder of the launch.
        jobs: contents of the jobs' files, those that others need first.
        site: how jobs are started here.
        name: name of the jobs in Slurm, which no other launch has.
        earlier: ids, by name, of jobs that these need and that were handed in before.

    Yields:
        Name of a job -> its id in Slurm, one array at a time.

    Raises:
        InputError: Slurm refuses them; the message is Slurm's.
    """
    ids, sizes = dict(earlier), dict[str, int]()  # sizes: number of jobs, by the array's id
    most = max_array_size()
    # Jobs of one array ask for the same resources, and must not need each other.
    levels: dict[str, int] = {}
    classes: dict[tuple[Any, ...], list[Tree]] = {}
    for job in jobs:
        level = levels[job["name"]] = 1 + max(
            (levels.get(need, 0) for need in job["needs"]), default=0
        )
        classes.setdefault((level, ResourcesSpec.model_validate(job["resources"])), []).append(job)
    number = 0
    for (_, resources), members in sorted(classes.items(), key=lambda item: item[0][0]):
        for dependency, alike in _by_dependency(members, ids, sizes):
            for first in range(0, len(alike), most):
                number += 1
                chunk = alike[first : first + most]
                place = launch / f"array-{number}"
                new = _array(folder, place, launch.name, chunk, resources, dependency, site, name)
                ids |= new
                sizes[next(iter(new.values())).partition("_")[0]] = len(chunk)
                yield new


def _by_dependency(
    jobs: list[Tree], ids: dict[str, str], sizes: dict[str, int]
) -> Iterator[tuple[str, list[Tree]]]:
    """Divides jobs into arrays by what they wait for.

    An array has one dependency for all its jobs. Where each of its jobs waits for one job of
    another array, and the order is the same, Slurm pairs them (`aftercorr`); otherwise all jobs of
    the array wait for the same jobs (`afterok`).

    Args:
        jobs: contents of the jobs' files.
        ids: Slurm's ids of the jobs that were handed in, by name.
        sizes: number of jobs in each array, by its id.

    Yields:
        The dependency as sbatch takes it ("" for none), and the jobs.
    """
    alike: dict[tuple[str, ...], list[Tree]] = {}
    for job in jobs:
        alike.setdefault(tuple(ids[need] for need in job["needs"] if need in ids), []).append(job)
    paired: dict[str, dict[tuple[str, ...], list[Tree]]] = {}
    for needs, members in alike.items():
        array = needs[0].partition("_")[0] if len(needs) == 1 else ""
        if sizes.get(array, 0) > 1:
            paired.setdefault(array, {})[needs] = members
        else:
            yield f"afterok:{':'.join(needs)}" if needs else "", members
    for array, waiting in paired.items():
        # Several jobs may wait for the same one: each layer takes one job for each job waited for,
        # and only a layer that is as large as the array can be paired with it.
        layers = max(len(members) for members in waiting.values())
        if layers >= len(waiting) or len(waiting) < sizes[array]:
            yield from ((f"afterok:{needs[0]}", members) for needs, members in waiting.items())
            continue
        in_order = sorted(waiting, key=lambda needs: int(needs[0].partition("_")[2]))
        for layer in range(layers):
            has = [needs for needs in in_order if len(waiting[needs]) > layer]
            if len(has) == sizes[array]:
                yield f"aftercorr:{array}", [waiting[needs][layer] for needs in has]
            else:
                yield from ((f"afterok:{needs[0]}", [waiting[needs][layer]]) for needs in has)


def _array(
    folder: SweepFolder,
    place: Path,
    launch: str,
    jobs: list[Tree],
    resources: ResourcesSpec,
    dependency: str,
    site: SiteSpec,
    name: str,
) -> dict[str, str]:
    """Hands one array in.

    Args:
        folder: folder of the sweep.
        place: folder of the array, which is made.
        launch: number of the launch.
        jobs: contents of the jobs' files.
        resources: what each job asks for.
        dependency: what the jobs wait for, as sbatch takes it; "" for nothing.
        site: how jobs are started here.
        name: name of the jobs in Slurm.

    Returns:
        Name of a job -> its id in Slurm.

    Raises:
        InputError: Slurm refuses the jobs.
    """
    import submitit

    # A folder of its own, because submitit names files by the job's id, which may come again.
    place.mkdir()
    executor = submitit.SlurmExecutor(
        place, max_num_timeout=site.requeues, python=site.python or None
    )
    code = environment(Path(jobs[0]["code"]))
    executor.update_parameters(
        job_name=name,
        array_parallelism=site.jobs_at_once or len(jobs),
        setup=[*site.setup, *(f"export {key}={shlex.quote(value)}" for key, value in code.items())],
        **_parameters(resources, dependency, site),
    )
    try:
        with executor.batch():
            handed_in = [
                executor.submit(SlurmJob(str(folder.path), job["name"], launch)) for job in jobs
            ]
    except submitit.core.utils.FailedJobError as error:
        lines = [line for line in str(error).splitlines() if "error" in line.lower()]
        raise InputError(
            f"Slurm refuses the jobs: {' '.join(lines)[:300] or error}; look at [site], [resources]"
        ) from error
    return {job["name"]: new.job_id for job, new in zip(jobs, handed_in, strict=True)}


def _parameters(resources: ResourcesSpec, dependency: str, site: SiteSpec) -> dict[str, Any]:
    """The options of sbatch and srun by submitit's names, from what jobs ask for and the site.

    Args:
        resources: what each job asks for.
        dependency: what the jobs wait for, as sbatch takes it; "" for nothing.
        site: how jobs are started here.
    """
    cpus = resources.cpus // resources.tasks
    further = {key: value for key, value in site.parameters.items() if value is not False}
    further |= {"requeue": True}
    if dependency:
        further |= {"dependency": dependency, "kill-on-invalid-dep": "yes"}
    optional = {
        "gpus_per_node": resources.gpus,
        "partition": site.partition,
        "account": site.account,
        "qos": site.qos,
        "constraint": site.constraint,
    }
    return {
        "time": max(1, math.ceil(resources.hours * 60)),
        "nodes": resources.nodes,
        "ntasks_per_node": resources.tasks,
        "cpus_per_task": cpus,
        "mem": f"{math.ceil(resources.memory_gb * 1024)}M",
        "signal_delay_s": site.signal_seconds,
        "stderr_to_stdout": True,
        # Since Slurm 22.05 srun does not take the cores of the job over by itself. Helping tasks
        # are ended a minute after the first: they would wait for nothing.
        "srun_args": ["--wait=60", f"--cpus-per-task={cpus}"],
        "additional_parameters": further,
        **{key: value for key, value in optional.items() if value},
    }


def max_array_size() -> int:
    """The most jobs of an array here: its indices go from 0 to MaxArraySize - 1."""
    done = subprocess.run(
        ["scontrol", "show", "config"], capture_output=True, text=True, timeout=60, check=False
    )
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", done.stdout, re.MULTILINE)
    return max(1, int(found[1])) if found else 1000


def cancel(ids: list[str]) -> None:
    """Takes jobs out of the queue and ends those that run.

    Args:
        ids: ids of the jobs in Slurm.
    """
    for first in range(0, len(ids), 500):
        subprocess.run(
            ["scancel", *ids[first : first + 500]], capture_output=True, timeout=120, check=False
        )
