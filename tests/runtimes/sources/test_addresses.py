"""Images at addresses, from a server on this machine; what leads elsewhere than it says, or too far, is refused."""

from __future__ import annotations

import http.server
import io
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image

from cvport.errors import InputError
from cvport.exporters.gate.probes import scene
from cvport.runtimes.sources import addresses
from cvport.runtimes.sources.addresses import fetch_image
from cvport.runtimes.sources.base import SourceOptions
from cvport.runtimes.sources.registry import open_sources

ALLOWED = SourceOptions(allow_private=True)


def png():
    content = io.BytesIO()
    Image.fromarray(scene(20, 30, seed=0)).save(content, "PNG")
    return content.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        name = self.path.partition("?")[0].strip("/")
        getattr(self, f"do_{name.partition('.')[0]}", self.do_gone)()

    def send(self, body, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def do_a(self):
        self.send(png())

    def do_gone(self):
        self.send(b"", 404)

    def do_text(self):
        self.send(b"hello")

    def do_moved(self):
        self.send(b"", 302, Location="/a.png")

    def do_circle(self):
        self.send(b"", 302, Location="/circle")

    def do_away(self):
        self.send(b"", 302, Location="file:///etc/passwd")

    def do_secret(self):
        self.send(b"", 302, Location=f"http://127.0.0.1:{self.server.server_port}/a.png")

    def do_short(self):
        self.send(png()[:-50], length=len(png()))

    def do_huge(self):
        self.send(b"0" * 4096)

    def do_slow(self):
        self.send_response(200)
        self.end_headers()
        for _ in range(50):
            self.wfile.write(b"0")
            self.wfile.flush()
            time.sleep(0.02)


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.seen = []
        made.daemon_threads = True
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        made.root = f"http://127.0.0.1:{made.server_port}"
        yield made
        made.shutdown()


def test_an_image_is_fetched_when_it_is_read(server):
    source = open_sources([f"{server.root}/a.png?size=1"], ALLOWED)
    (item,) = source
    assert (source.total, server.seen) == (1, [])
    np.testing.assert_array_equal(item.loaded().image, scene(20, 30, seed=0)[..., ::-1])
    assert server.seen == [("/a.png?size=1", None)]


def test_redirects_are_followed_and_logins_are_sent_but_not_shown(server):
    address = f"http://me:secret@127.0.0.1:{server.server_port}/moved"
    (item,) = open_sources([address], ALLOWED)
    assert item.name == f"http://***@127.0.0.1:{server.server_port}/moved"
    assert item.loaded().image.shape == (20, 30, 3)
    login = "Basic bWU6c2VjcmV0"
    assert server.seen == [("/moved", login), ("/a.png", login)]
    # To an address of its own a redirect takes no login along.
    fetch_image(address.replace("/moved", "/secret"), ALLOWED)
    assert server.seen[2:] == [("/secret", login), ("/a.png", None)]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone.png", "HTTP 404 Not Found"),
        ("text", "is not an image of a known format"),
        ("circle", "more than 5 redirects"),
        ("away", "leads to file:///etc/passwd, which is not read"),
        ("short", "too early"),
        ("huge", "is larger than 0 MiB"),
        ("slow", "took longer than"),
    ],
)
def test_what_cannot_be_fetched(server, monkeypatch, path, message):
    if path == "huge":
        monkeypatch.setattr(addresses, "MAX_BYTES", 4000)
    monkeypatch.setattr(addresses, "TOTAL_S", 0.3 if path == "slow" else 30.0)
    with pytest.raises(InputError, match=message) as failure:
        fetch_image(f"{server.root}/{path}", ALLOWED)
    assert "127.0.0.1" in failure.value.message


def test_limit_of_pixels(server):
    with pytest.raises(InputError, match="has 30x20 pixels"):
        fetch_image(f"{server.root}/a.png", SourceOptions(max_pixels=599, allow_private=True))


def test_private_addresses_are_refused_unless_allowed(server):
    with pytest.raises(InputError, match=r"leads to the private address 127\.0\.0\.1") as failure:
        fetch_image(f"{server.root}/a.png", SourceOptions())
    assert "--allow-private" in failure.value.hint
    assert server.seen == []


@pytest.mark.parametrize(
    "number",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fc00::1",
        "::ffff:10.0.0.1",
        "100.64.0.1",
    ],
)
def test_what_is_private(number):
    assert not addresses._is_public(number)


def test_what_is_public():
    assert addresses._is_public("93.184.216.34")
    assert addresses._is_public("2606:2800:220:1::1")


def test_a_name_that_leads_to_a_private_address_and_a_redirect_to_one(server, monkeypatch):
    """A public name is looked up once: the connection goes to the number that was looked at."""
    asked = []

    def getaddrinfo(host, port, **_):
        asked.append(host)
        number = "93.184.216.34" if host == "public.example" else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(InputError, match="private address"):
        fetch_image(f"http://inside.example:{server.server_port}/a.png", SourceOptions())
    connected = []
    monkeypatch.setattr(
        socket,
        "create_connection",
        lambda place, timeout: connected.append(place) or socket.socket.connect_to(server),
    )

    def connect_to(made):
        sock = socket.socket()
        sock.connect(("127.0.0.1", made.server_port))
        return sock

    monkeypatch.setattr(socket.socket, "connect_to", staticmethod(connect_to), raising=False)
    with pytest.raises(InputError, match="private address 127"):
        fetch_image("http://public.example/secret", SourceOptions())
    assert connected == [("93.184.216.34", 80)]
    assert asked == ["inside.example", "public.example", "127.0.0.1"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("s3://bucket/x.jpg", "s3:// is not read"),
        ("ftp://host/x.jpg", "ftp:// is not read"),
        ("file:///etc/passwd", "file:// is not read"),
        ("http://host:notaport/x.jpg", "is no address"),
        ("http://127.0.0.1/clip.mp4", "leads to the private address"),
    ],
)
def test_addresses_that_are_not_read(word, message):
    (item,) = open_sources([word], SourceOptions())
    assert message in item.error.message
    assert item.error.exit_code == 3


def test_nobody_answers():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="cannot fetch"):
        fetch_image(f"http://127.0.0.1:{port}/a.png", ALLOWED)
    with pytest.raises(InputError, match="there is no host"):
        fetch_image("http://no-such-host.invalid/a.png", ALLOWED)
