"""What the tests of models share: a local hub, one thread."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator

import pytest

from helpers.hub_server import HubServer


@pytest.fixture
def hub_server() -> Iterator[HubServer]:
    """A running hub, empty."""
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads that wait for a busy core cost small networks far more than they gain."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
