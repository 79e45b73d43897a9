"""Signals that Slurm sends to every process of a job."""

import os
import subprocess
import sys

from tests.sweeping import ROOT

EVERYBODY = """
import os, signal, subprocess, sys, threading, time
from multiprocessing import get_context
from pathlib import Path
from bench.core import progress
from bench.sweep.signals import signals_of_a_job
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()  # as that of the heartbeat
with signals_of_a_job(Path("nowhere"), {"kind": "prepare"}):
    decoder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    renderer = get_context("spawn").Process(target=time.sleep, args=(60,))
    renderer.start()
    for number in (signal.SIGUSR2, signal.SIGTERM):
        for pid in (decoder.pid, renderer.pid, os.getpid()):
            os.kill(pid, number)
    time.sleep(1)
    print(decoder.poll(), renderer.exitcode, progress.stopping())
    decoder.kill()
    renderer.kill()
"""


def test_of_signals_to_every_process_of_a_job_its_workers_do_not_die():
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SLURM")
    }
    command = [sys.executable, "-c", EVERYBODY]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None", "None", "TERM"]
