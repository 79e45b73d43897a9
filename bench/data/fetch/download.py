"""One download over HTTP, in as many attempts as it takes.

What has arrived is kept beside the file to be (see `partial`), so that an attempt asks for the rest
alone. To check that it is the published file, and to give it its name, is left to the caller.
"""

import shutil
from pathlib import Path

import requests

from bench.core.progress import say
from bench.data.fetch.disk import HaltError, human, size_of, writing
from bench.data.fetch.job import Job
from bench.data.fetch.partial import forget, start, state_of
from bench.data.fetch.response import (
    TransientError,
    chunks,
    host,
    open_response,
    require_success,
    require_the_file,
    validator,
    whole_size,
)
from bench.data.manifest import File

_WORTHWHILE = 2**20  # bytes that an attempt must bring for the count of failures to start anew
# Asks for the file as it is stored: a transfer that the server compresses cannot be resumed.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "pretext-bench"}


def download(file: File, part: Path, job: Job) -> None:
    """Brings all of a file into `part`.

    Raises:
        InputError: the server has no such file, or another one.
        HaltError: so many attempts in a row failed, or there is no space.
        StoppedError: another file's error has ended the work.
    """
    patience = job.patience
    failures, furthest = 0, size_of(part)
    while True:
        try:
            return _attempt(file, part, job)
        except TransientError as error:
            there = size_of(part)
            failures = 1 if there - furthest >= _WORTHWHILE else failures + 1
            furthest = max(furthest, there)
            wait = max(error.wait, patience.first_wait_seconds * 2 ** (failures - 1))
            if failures >= patience.attempts or error.wait > patience.longest_wait_seconds:
                size = state_of(part, file)["bytes"] or file.bytes
                rest = f", {failures} times in a row"
                if error.wait:
                    rest = f" and asks for {error.wait:.0f} s of rest"
                raise HaltError(
                    f"{file.name}: {error}{rest} ({host(file.url)}); {there} of "
                    f"{size or 'unknown'} bytes are kept: fetch again later, or when the network "
                    "is mended"
                ) from error
            say(f"{file.name}: {error}; trying again in {wait:.0f} s")
        job.stop.wait(wait)
        job.go_on()


def _attempt(file: File, part: Path, job: Job) -> None:
    """Requests what is missing of a file, and adds what arrives to `part`."""
    state = state_of(part, file)
    there = size_of(part) if state["validator"] else 0
    if there and there == state["bytes"]:
        return
    resume = {"Range": f"bytes={there}-", "If-Range": state["validator"]} if there else {}
    with (
        requests.Session() as session,
        open_response(session, file, {**_HEADERS, **resume}, job) as response,
    ):
        if not (there and response.status_code in (206, 416)):
            there = 0  # the server sends the whole file (200), or an error
        require_success(response, file, part, resumed=there > 0)
        size = whole_size(response, part, there, state)
        require_the_file(response, file, size)
        free = shutil.disk_usage(part.parent).free
        if size is not None and size - there > free:
            raise HaltError(
                f"{part}: {human(size - there)} to come and {human(free)} free on its disk: free "
                "some, then fetch again to go on"
            )
        if not there:
            start(part, {"url": file.url, "validator": validator(response), "bytes": size})
        with writing(part), open(part, "ab" if there else "wb") as out:
            for chunk in chunks(response, job):
                out.write(chunk)
                there += len(chunk)
                job.meter.at(file.name, there, size or file.bytes)
                if file.bytes is not None and there > file.bytes:
                    break  # longer than published: no need to see the end of it
    if size is not None and there != size:
        if there > size:
            forget(part)
        raise TransientError(f"{there} bytes came where the server promised {size}")
