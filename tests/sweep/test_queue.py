"""What is said of a Slurm that does not answer."""

from bench.sweep import queue


def test_a_slurm_that_does_not_answer_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queue.ask(tmp_path, ["bench-0"]) == {}
    assert queue.silence(tmp_path) == "squeue does not answer: it never has"
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho '7|bench-0|PENDING|Resources|0'")
    squeue.chmod(0o755)
    assert queue.ask(tmp_path, ["bench-0"], max_age=0)["bench-0 7"]["state"] == "PENDING"
    assert not queue.silence(tmp_path)
    squeue.unlink()
    assert queue.ask(tmp_path, ["bench-0"], max_age=0)["bench-0 7"]["state"] == "PENDING"
    assert (
        queue.silence(tmp_path)
        == "squeue does not answer: what stands here of its jobs is 0 min old"
    )
