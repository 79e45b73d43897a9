"""The end of what the jobs of a sweep have printed, wherever it was written."""

from pathlib import Path

from bench.sweep.state import SweepFolder
from bench.sweep.status import JobState, job_states, with_needs

_LINE_BYTES = 400  # longer lines are rare; so much of a file is read for each line wanted


def log_of(folder: SweepFolder, job: str, lines: int) -> str:
    """The end of what a job printed.

    Where the job could not start because one that it needs has failed, the end of that one's log.

    Args:
        folder: folder of the sweep.
        job: name of the job.
        lines: the most lines.
    """
    states = job_states(folder, with_needs(folder, [job]))
    while states[job].need:
        job = states[job].need
    return log_end(folder, job, states[job], lines)


def log_end(folder: SweepFolder, job: str, state: JobState, lines: int) -> str:
    """The end of the log of a job's attempt, or of what started the job where that log is empty.

    Where a job of several tasks failed, the output of the other tasks follows.

    Args:
        folder: folder of the sweep.
        job: name of the job.
        state: state of the job.
        lines: the most lines of each task.
    """
    launch, record = next(
        (launched for launched in reversed(folder.launches()) if job in launched[1]["jobs"]),
        (None, {}),
    )
    paths, others = [state.attempt.folder / "log.txt"] if state.attempt else [], []
    if launch:
        slurm = record.get("ids", {}).get(job)
        slurm_logs = sorted(launch.glob(f"array-*/{slurm}_*_log.out"))
        first = [path for path in slurm_logs if path.name == f"{slurm}_0_log.out"]
        paths += [launch / f"{job}.txt", *first]
        others = [
            *sorted(launch.glob(f"{job}-task-*.txt")),
            *(path for path in slurm_logs if path not in first),
        ]
    text = next((end for path in paths if (end := _end(path, lines))), "")
    for number, path in enumerate(others if state.state == "failed" else [], start=1):
        end = "\n".join(
            line for line in _end(path, lines).splitlines() if not line.startswith("submitit INFO")
        )
        text += f"\n--- task {number}:\n{end}" if end else ""
    return text


def _end(path: Path, lines: int) -> str:
    """The last lines of a file; "" where there is no such file."""
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _LINE_BYTES * lines))
        text = file.read().decode(errors="replace").splitlines()
    return "\n".join(text[-lines:])
