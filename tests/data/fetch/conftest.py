"""The server that tests of downloads fetch from."""

import threading
from collections.abc import Iterator

import pytest

from tests.data.fetch.site import Site


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1,nowhere.invalid")
    with Site() as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
