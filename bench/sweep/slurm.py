"""Launching on Slurm: arrays of jobs through submitit, the only file that imports it."""

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
    """What submitit calls on a node. All state is on disk: the pickle holds three names."""

    def __init__(self, folder: str, name: str, launch: str) -> None:
        """Of a sweep, one of its jobs, and the number of the launch."""
        self.folder, self.name, self.launch = folder, name, launch

    def __call__(self) -> None:
        """Makes one attempt; each task of a job that has several calls it."""
        from bench.sweep.job import run_task

        if int(os.environ.get("SLURM_NTASKS", "1")) > 1:
            from submitit.helpers import TorchDistributedEnvironment

            # A port for every time that the job is started: at the last one's somebody may still
            # be.
            times = f"{os.environ['SLURM_JOB_ID']} {os.environ.get('SLURM_RESTART_COUNT', 0)}"
            os.environ["MASTER_PORT"] = str(random.Random(times).randint(20_000, 32_000))
            # Each task sees all GPUs of the job on its node, and takes the one of its number.
            TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        status = run_task(Path(self.folder), self.name, self.launch)
        if status:
            sys.exit(status)

    def checkpoint(self, *_: Any) -> Any:
        """For a signal that comes before the attempt has begun: the same again."""
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
        folder: of the sweep.
        launch: folder of the launch.
        jobs: contents of the jobs' files, those first that others need.
        site: how jobs are started here.
        name: of the jobs in Slurm; no other launch has it.
        earlier: ids of jobs that these need and that were handed in before.

    Yields:
        Names of jobs -> their ids in Slurm, an array at a time.

    Raises:
        InputError: Slurm refuses them; the message is Slurm's.
    """
    ids, sizes = dict(earlier), dict[str, int]()
    most = max_array_size()
    levels: dict[str, int] = {}
    classes: dict[tuple[Any, ...], list[Tree]] = {}
    for job in jobs:
        level = levels[job["name"]] = 1 + max(
            (levels.get(one, 0) for one in job["needs"]), default=0
        )
        classes.setdefault((level, ResourcesSpec.model_validate(job["resources"])), []).append(job)
    number = 0
    for (_, resources), members in sorted(classes.items(), key=lambda one: one[0][0]):
        for dependency, alike in _by_dependency(members, ids, sizes):
            for first in range(0, len(alike), most):
                number += 1
                chunk = alike[first : first + most]
                place = launch / f"array-{number}"
                made = _array(folder, place, launch.name, chunk, resources, dependency, site, name)
                ids |= made
                sizes[next(iter(made.values())).partition("_")[0]] = len(chunk)
                yield made


def _by_dependency(
    jobs: list[Tree], ids: dict[str, str], sizes: dict[str, int]
) -> Iterator[tuple[str, list[Tree]]]:  # fmt: skip
    """Jobs that can be one array: with what each waits for, as Slurm is told it; "" for nothing.

    Where each job waits for one of another array, in the same order, Slurm pairs them (aftercorr).
    """
    alike: dict[tuple[str, ...], list[Tree]] = {}
    for job in jobs:
        alike.setdefault(tuple(ids[one] for one in job["needs"] if one in ids), []).append(job)
    paired: dict[str, dict[tuple[str, ...], list[Tree]]] = {}
    for needs, members in alike.items():
        array = needs[0].partition("_")[0] if len(needs) == 1 else ""
        if sizes.get(array, 0) > 1:
            paired.setdefault(array, {})[needs] = members
        else:
            yield f"afterok:{':'.join(needs)}" if needs else "", members
    for array, found in paired.items():
        layers = max(len(members) for members in found.values())
        if layers >= len(found) or len(found) < sizes[array]:
            yield from ((f"afterok:{needs[0]}", members) for needs, members in found.items())
            continue
        in_order = sorted(found, key=lambda needs: int(needs[0].partition("_")[2]))
        for layer in range(layers):
            has = [needs for needs in in_order if len(found[needs]) > layer]
            if len(has) == sizes[array]:
                yield f"aftercorr:{array}", [found[needs][layer] for needs in has]
            else:
                yield from ((f"afterok:{needs[0]}", [found[needs][layer]]) for needs in has)


def _array(
    folder: SweepFolder, place: Path, launch: str, jobs: list[Tree], resources: ResourcesSpec,
    dependency: str, site: SiteSpec, name: str,
) -> dict[str, str]:  # fmt: skip
    import submitit

    # a folder of its own: submitit names results by the job's id, which may come again
    place.mkdir()
    executor = submitit.SlurmExecutor(
        place, max_num_timeout=site.requeues, python=site.python or None
    )
    code = environment(Path(jobs[0]["code"]))
    further = {key: value for key, value in site.parameters.items() if value is not False} | {
        "requeue": True
    }
    if dependency:
        further |= {"dependency": dependency, "kill-on-invalid-dep": "yes"}
    given = {
        "partition": site.partition,
        "account": site.account,
        "qos": site.qos,
        "constraint": site.constraint,
    }
    executor.update_parameters(
        job_name=name,
        time=max(1, math.ceil(resources.hours * 60)),
        nodes=resources.nodes,
        ntasks_per_node=resources.tasks,
        cpus_per_task=resources.cpus // resources.tasks,
        mem=f"{math.ceil(resources.memory_gb * 1024)}M",
        signal_delay_s=site.signal_seconds,
        stderr_to_stdout=True,
        array_parallelism=site.jobs_at_once or len(jobs),
        setup=[*site.setup, *(f"export {key}={shlex.quote(value)}" for key, value in code.items())],
        # Since Slurm 22.05 srun does not take the cores of the job over by itself. Tasks whose
        # first one has ended wait for nothing.
        srun_args=["--wait=60", f"--cpus-per-task={resources.cpus // resources.tasks}"],
        additional_parameters=further,
        **({"gpus_per_node": resources.gpus} if resources.gpus else {}),
        **{key: value for key, value in given.items() if value},
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
    return {job["name"]: one.job_id for job, one in zip(jobs, handed_in, strict=True)}


def max_array_size() -> int:
    """How many jobs one array may have: indices go from 0 to MaxArraySize - 1."""
    done = subprocess.run(
        ["scontrol", "show", "config"], capture_output=True, text=True, timeout=60, check=False
    )
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", done.stdout, re.MULTILINE)
    return max(1, int(found[1])) if found else 1000


def cancel(ids: list[str]) -> None:
    """Takes jobs out of the queue, and ends those that run."""
    for first in range(0, len(ids), 500):
        subprocess.run(
            ["scancel", *ids[first : first + 500]], capture_output=True, timeout=120, check=False
        )
