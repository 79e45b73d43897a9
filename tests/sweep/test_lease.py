"""Leases: one attempt holds each, and a dead one loses it."""

import os

from bench.sweep import lease, state


def test_a_lease_is_held_by_one_and_taken_from_the_dead(tmp_path, monkeypatch):
    attempts = [tmp_path / f"jobs/j/attempts/{number}" for number in range(2)]
    for attempt in attempts:
        attempt.mkdir(parents=True)
        (attempt / "heartbeat").touch()
    me = state.this_process()
    first = lease.take(tmp_path, "group", attempts[0], me)
    assert isinstance(first, lease.Lease)
    assert first.held
    holder = lease.take(tmp_path, "group", attempts[1], me)
    assert not isinstance(holder, lease.Lease)
    assert holder["attempt"] == str(attempts[0])
    os.utime(attempts[0] / "heartbeat", (0, 0))
    second = lease.take(tmp_path, "group", attempts[1], me)
    assert isinstance(second, lease.Lease)
    assert second.held
    assert not first.held
    first.release()  # of no effect: it is not the first one's any more
    assert second.held
    (attempts[0] / "heartbeat").touch()
    assert isinstance(lease.take(tmp_path, "group", attempts[0], me), dict)
    second.release()
    assert isinstance(lease.take(tmp_path, "group", attempts[0], me), lease.Lease)


def test_of_many_that_want_a_lease_one_gets_it(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    attempts = [tmp_path / f"jobs/{number}/attempts/1" for number in range(16)]
    for attempt in attempts:
        attempt.mkdir(parents=True)
        (attempt / "heartbeat").touch()
    with ThreadPoolExecutor(16) as pool:
        got = list(
            pool.map(lambda one: lease.take(tmp_path, "group", one, state.this_process()), attempts)
        )
    assert sum(isinstance(one, lease.Lease) for one in got) == 1
