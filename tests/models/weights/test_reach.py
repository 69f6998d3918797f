"""Whether a server can be reached, on this machine alone."""

import socket
import time

import pytest

from cvport.models.weights import reach
from cvport.models.weights.reach import unreachable_reason


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    monkeypatch.setattr(reach, "getproxies", dict)
    monkeypatch.setattr(reach, "proxy_bypass", lambda _host: False)


def test_a_server_that_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert unreachable_reason(f"http://127.0.0.1:{server.getsockname()[1]}/api") is None


def test_a_server_that_does_not_listen():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        reason = unreachable_reason(f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert reason == "127.0.0.1 cannot be reached: Connection refused"


def test_the_port_is_that_of_the_scheme(monkeypatch):
    asked = []

    def refuse(address, timeout):
        asked.append(address)
        raise OSError(113, "No route to host")

    monkeypatch.setattr(socket, "create_connection", refuse)
    assert unreachable_reason("https://example.invalid/x") == "example.invalid cannot be reached: No route to host"
    assert unreachable_reason("http://example.invalid") == "example.invalid cannot be reached: No route to host"
    assert asked == [("example.invalid", 443), ("example.invalid", 80)]


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(reach, "_TOTAL_SECONDS", 0.05)

    def answer_late(address, timeout):
        time.sleep(0.5)
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", answer_late)
    assert unreachable_reason("https://example.invalid") == "example.invalid cannot be reached: no answer"


@pytest.mark.parametrize("proxies", [{"https": "http://proxy:1"}, {"all": "socks5://proxy:1"}])
def test_behind_a_proxy_nothing_is_tried(monkeypatch, proxies):
    monkeypatch.setattr(reach, "getproxies", lambda: proxies)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was tried"))
    assert unreachable_reason("https://example.invalid") is None


def test_a_host_that_the_proxy_leaves_out_is_tried(monkeypatch):
    monkeypatch.setattr(reach, "getproxies", lambda: {"http": "http://proxy:1", "no": "127.0.0.1"})
    monkeypatch.setattr(reach, "proxy_bypass", lambda host: host == "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert unreachable_reason(f"http://127.0.0.1:{closed.getsockname()[1]}")
