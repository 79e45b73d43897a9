"""What is left of a sweep in hours and bytes, as numbers and in words."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.data.fetch.disk import human
from bench.sweep import spec

STAGES = ("prepare", *spec.STAGES)
_NAMED = 6  # the most things that are named as not counted


@dataclass
class Estimate:
    """What the rest of a sweep will take.

    Attributes:
        jobs: number of jobs that are left.
        known: number of these of which the time is known.
        seconds: seconds of computing at each stage, as far as they are known.
        starting: seconds that all jobs together take to start.
        longest: seconds of the longest job.
        completion: seconds until the last job has ended.
        at_once: number of jobs that run at the same time; 0 for all.
        gpu_hours: GPU-hours of computing.
        reserved: "gpu_hours" and "cpu_hours" that the jobs ask for, and so take at most.
        short: names of the jobs that take longer than the hours they ask for.
        home: bytes of each kind of product in home.
        results: bytes of results.
        free: free bytes on the disks of "home" and "results"; "home" alone where both lie on one
            disk.
        sources: where the rates come from, in words.
        unknown: number of jobs in which something is not counted, by what it is.
    """

    jobs: int = 0
    known: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    starting: float = 0.0
    longest: float = 0.0
    completion: float = 0.0
    at_once: int = 0
    gpu_hours: float = 0.0
    reserved: dict[str, float] = field(default_factory=lambda: {"gpu_hours": 0.0, "cpu_hours": 0.0})
    short: list[str] = field(default_factory=list)
    home: dict[str, float] = field(default_factory=dict)
    results: float = 0.0
    free: Mapping[str, int] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)

    @property
    def lacking(self) -> dict[str, float]:
        """Bytes that each disk lacks, by its name; empty where everything fits."""
        needed = {"home": sum(self.home.values()), "results": self.results}
        if "results" not in self.free:
            needed = {"home": sum(needed.values())}
        return {
            name: size - self.free[name]
            for name, size in needed.items()
            if size > self.free.get(name, size)
        }

    def in_words(self) -> str:
        """The estimate in a few lines, for the user."""
        if not self.jobs:
            return "nothing is left to compute"
        lines = [*self._time(), self._disk()]
        lines += [
            f"WARNING: {name} lacks {human(size)}: this will not fit"
            for name, size in self.lacking.items()
        ]
        if self.unknown:
            named = [
                f"{what} ({jobs} job{'s' * (jobs > 1)})"
                for what, jobs in self.unknown.most_common(_NAMED)
            ]
            more = f"; and {len(self.unknown) - _NAMED} more" if len(self.unknown) > _NAMED else ""
            lines.append(f"not counted: {'; '.join(named)}{more}")
        return "\n".join(lines)

    def _time(self) -> list[str]:
        """Lines on the time."""
        total = sum(self.seconds.values())
        lines = []
        if not self.sources:
            lines.append(
                "time: not known, for no earlier run with these methods and encoders is stored "
                "(--measure)"
            )
        else:
            partly = f" ({self.known} of {self.jobs} jobs wholly known)"
            part = "" if self.known == self.jobs else partly
            gpu = f", {self.gpu_hours:.2f} GPU-hours" if self.gpu_hours else ""
            stages = ", ".join(
                f"{stage} {duration(took)}" for stage, took in self.seconds.items() if took
            )
            lines.append(
                f"time{part}: {duration(total)} of computing{gpu} ({stages}); "
                f"from {'; '.join(self.sources)}"
            )
            at_once = f"{self.at_once} at once" if self.at_once else "all at once"
            start = (
                f", of which {duration(self.starting / self.jobs)} each to start"
                if self.starting
                else ""
            )
            lines.append(
                f"done in about {duration(self.completion)} with {self.jobs} jobs, {at_once}; "
                f"the longest job {duration(self.longest)}{start}"
            )
        if self.short:
            more = f" and {len(self.short) - 1} more" if len(self.short) > 1 else ""
            lines.append(
                f"WARNING: {self.short[0]}{more} will take longer than the hours asked for: "
                "stopped at the limit, put in line again"
            )
        asked = (
            [f"{self.reserved['gpu_hours']:.4g} GPU-hours"] if self.reserved["gpu_hours"] else []
        )
        asked.append(f"{self.reserved['cpu_hours']:.4g} CPU-hours")
        return [*lines, f"asked for, and so taken at most: {', '.join(asked)}"]

    def _disk(self) -> str:
        """A line on the disks."""
        parts = ", ".join(f"{kind} {human(size)}" for kind, size in self.home.items() if size)
        free = " and ".join(f"{human(size)} in {name}" for name, size in self.free.items())
        if "results" not in self.free and self.free:
            free = human(self.free["home"])
        total = human(sum(self.home.values()))
        of = f" ({parts})" if parts else ""
        return f"disk: {total} in home{of}, {human(self.results)} of results; free: {free}"

    def as_json(self) -> dict[str, Any]:
        """The estimate as numbers, for `bench sweep --dry-run --json`."""
        return {
            "jobs": self.jobs,
            "known_jobs": self.known,
            "seconds": sum(self.seconds.values()),
            "seconds_by_stage": self.seconds,
            "starting_seconds": self.starting,
            "longest_job_seconds": self.longest,
            "completion_seconds": self.completion,
            "jobs_at_once": self.at_once,
            "gpu_hours": self.gpu_hours,
            "reserved": self.reserved,
            "jobs_over_their_hours": self.short,
            "disk_bytes": {
                **{kind: round(size) for kind, size in self.home.items()},
                "results": round(self.results),
            },
            "free_bytes": dict(self.free),
            "fits": not self.lacking,
            "sources": self.sources,
            "unknown": dict(self.unknown),
        }


def duration(seconds: float) -> str:
    """A time in seconds, in words: in the unit that suits it, such as `1.5 h`."""
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit * (2 if unit == 86400 else 1):
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
