"""Images at http(s) addresses, within limits: of time, of size, of redirects, and of where an address may lead.

Who names an address may not be who runs the command: a list of addresses from elsewhere must not read what only this
machine can reach. So private addresses are refused unless allowed, and the connection is made to the very address that
was looked at, also after a redirect.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ...errors import InputError
from .base import Item, Items
from .images import read_image
from .video import StreamSource, without_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from .base import Source, SourceOptions

MAX_BYTES = 32 * 1024 * 1024
MAX_REDIRECTS = 5
# For the whole of one image, in seconds, and for each answer of the other side.
TOTAL_S, ANSWER_S = 30.0, 10.0
_CHUNK = 64 * 1024
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_VIDEOS = (".avi", ".m3u8", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")
_STREAMS = frozenset(("rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"))
_WEB = frozenset(("http", "https"))


def open_address(word: str, options: SourceOptions) -> Source:
    """Return the source of an address: an image, a video or a stream."""
    name = without_secret(word)
    try:
        parts = urlsplit(word)
        port = parts.port
    except ValueError as error:
        return _refuse(name, InputError(f"{name} is no address: {error}", "Check it."))
    if parts.scheme not in _WEB | _STREAMS:
        known = ", ".join(sorted(_WEB | _STREAMS))
        return _refuse(name, InputError(f"{name}: {parts.scheme}:// is not read", f"Known: {known}; or a path."))
    if parts.scheme in _WEB and not parts.path.lower().endswith(_VIDEOS):
        return Items([Item(name, read=partial(fetch_image, word, options))])
    try:
        _resolve(parts.hostname or "", port or 0, name, allow_private=options.allow_private or parts.scheme in _STREAMS)
    except InputError as error:
        return _refuse(name, error)
    return StreamSource(word, options)


def fetch_image(address: str, options: SourceOptions) -> NDArray[np.uint8]:
    """Fetch and decode an image.

    Args:
        address: http:// or https://.
        options: Limit of pixels, and whether private addresses are allowed.

    Returns:
        (h, w, 3) uint8 BGR.

    Raises:
        InputError: It cannot be reached, is refused, too slow, too large, or no image.

    """
    name = without_secret(address)
    deadline = time.monotonic() + TOTAL_S
    for _ in range(MAX_REDIRECTS + 1):
        try:
            status, headers, body = _get(address, name, deadline, options)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise InputError(f"cannot fetch {name}: {error or type(error).__name__}", "Check the address.") from error
        if status in _REDIRECTS and "location" in headers:
            address = urljoin(address, headers["location"])
            continue
        if status != http.HTTPStatus.OK:
            reason = http.client.responses.get(status, "")
            raise InputError(f"cannot fetch {name}: HTTP {status} {reason}".rstrip(), "Check the address.")
        return read_image(io.BytesIO(body), options.max_pixels, name)
    raise InputError(f"cannot fetch {name}: more than {MAX_REDIRECTS} redirects", "Give the address that they lead to.")


def _get(address: str, name: str, deadline: float, options: SourceOptions) -> tuple[int, Mapping[str, str], bytes]:
    """Return status, headers by lower-case name, and body of one answer."""
    parts = urlsplit(address)
    if parts.scheme not in _WEB or not parts.hostname:
        raise InputError(f"{name} leads to {without_secret(address)}, which is not read", "Give an http address.")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    place = _resolve(parts.hostname, port, name, allow_private=options.allow_private)
    connection = _connection(parts.scheme, parts.hostname, port, place)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": "cvport", "Accept": "image/*", **_login(parts)})
        answer = connection.getresponse()
        headers = {key.lower(): value for key, value in answer.getheaders()}
        body = _body(answer, name, deadline) if answer.status == http.HTTPStatus.OK else b""
    finally:
        connection.close()
    return answer.status, headers, body


def _body(answer: http.client.HTTPResponse, name: str, deadline: float) -> bytes:
    """Return the body of an answer, whole."""
    parts: list[bytes] = []
    size = 0
    while chunk := answer.read1(_CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            raise InputError(f"{name} is larger than {MAX_BYTES // 2**20} MiB", "Download it, and give the file.")
        if time.monotonic() > deadline:
            raise InputError(f"{name} took longer than {TOTAL_S:g} s", "Download it, and give the file.")
    if answer.length:
        raise InputError(f"{name} ended {answer.length} bytes too early", "Try again.")
    return b"".join(parts)


def _login(parts: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the header of a name and password in an address."""
    if parts.username is None:
        return {}
    from base64 import b64encode
    from urllib.parse import unquote

    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def _resolve(host: str, port: int, name: str, *, allow_private: bool) -> tuple[str, int]:
    """Return the number and port that a host stands for.

    Raises:
        InputError: It has none, or is private and those are not allowed.

    """
    try:
        entries = socket.getaddrinfo(host, port or None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"cannot fetch {name}: there is no host {host}", "Check the address.") from error
    numbers = [str(entry[4][0]) for entry in entries]
    private = [number for number in numbers if not _is_public(number)]
    if private and not allow_private:
        raise InputError(
            f"{name} leads to the private address {private[0]}", "If that is meant, run again with --allow-private."
        )
    return numbers[0], port


def _is_public(number: str) -> bool:
    address = ipaddress.ip_address(number.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_global) and not (mapped or address).is_multicast


def _connection(scheme: str, host: str, port: int, place: tuple[str, int]) -> http.client.HTTPConnection:
    """Return a connection to a number that was looked at; certificates are checked against the name of the host."""
    made = http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    plain = socket.create_connection(place, timeout=ANSWER_S)
    made.sock = plain
    if scheme == "https":
        made.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    return made


def _refuse(name: str, error: InputError) -> Source:
    return Items([Item(name, error=error)])
