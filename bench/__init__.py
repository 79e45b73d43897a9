"""pretext-bench: self-supervised pretext tasks for music tagging, compared under one protocol.

In a checkout the plug-in folders `methods/` and `datasets/` lie beside this package; they are
reached as `bench.methods` and `bench.datasets` by appending the repository root to `__path__`. A
wheel holds them inside. Folders of third parties (`--plugins DIR`, or BENCH_PLUGINS, which worker
processes inherit) are appended alike, and `compat/`, which holds the names by which plug-ins
written for version 0.1 import what has moved since.
"""

import os
from pathlib import Path

__version__ = "0.1.0"

_package = Path(__file__).resolve().parent
__path__.append(str(_package / "compat"))
if not (_package / "methods").is_dir() and (_package.parent / "methods").is_dir():
    __path__.append(str(_package.parent))
for _folder in os.environ.get("BENCH_PLUGINS", "").split(os.pathsep):
    if _folder:
        __path__.append(str(Path(_folder).resolve()))
