"""`bench doctor` knows broken mixes of packages."""

import pytest

from bench.cli import doctor

GOOD = dict.fromkeys(doctor._PACKAGES, "1.0") | {
    "torch": "2.14.1",
    "torchaudio": "2.11.0",
    "torchvision": "0.29.0",
    "symusic": "0.5.9",
}


@pytest.mark.parametrize(
    ("changed", "state", "expected"),
    [
        ({}, "ok", "torch 2.14.1"),
        ({"torch": "2.15.0"}, "bad", "newer CUDA"),
        ({"torch": "2.10.1"}, "bad", "older"),
        ({"torch": "2.13.0+cpu"}, "bad", "torchvision::nms"),
        ({"symusic": "0.6.0"}, "warn", "numpy 2.4"),
        ({"lightly": None}, "bad", "not installed: lightly"),
    ],
)
def test_doctor_knows_the_broken_mixes_and_what_mends_them(changed, state, expected):
    found = doctor.packages(lambda name: {**GOOD, **changed}.get(name))
    worst = found[-1]
    assert worst.state == state
    assert expected in worst.text
    assert bool(worst.mend) == (state != "ok")


def test_doctor_is_well_here(bench):
    done = bench("doctor")
    assert "bad" not in {line.split()[0] for line in done.stdout.splitlines()}
    assert {"python:", "packages:", "imports:", "gpu:", "slurm:", "home:", "results:"} <= set(
        done.stdout.split()
    )


def test_doctor_names_a_folder_that_cannot_be_written(bench, tmp_path):
    (tmp_path / "file").write_text("")
    done = bench("doctor", "--home", "file/inside", status=1)
    assert "--home or BENCH_HOME" in done.stdout
