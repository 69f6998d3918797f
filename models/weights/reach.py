"""Checks quickly whether a server can be reached: client libraries spend half a minute on finding out."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

# Long enough for a slow connection to another continent, which takes well under a second.
_CONNECT_SECONDS = 4.0
# Looking a name up has no limit of its own; resolvers of unreachable name servers take tens of seconds.
_TOTAL_SECONDS = 6.0
_PORTS = {"http": 80, "https": 443}


def unreachable_reason(url: str) -> str | None:
    """Return why no connection to a server can be made, in one line; None where one can be made.

    Behind a proxy a direct connection tells nothing: the answer is None without trying.

    Args:
        url: Any address of the server, ``http://HOST[:PORT]`` or ``https://HOST[:PORT]``.

    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if {parts.scheme, "all"} & set(getproxies()) and not proxy_bypass(host):
        return None
    failures: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((host, parts.port or _PORTS[parts.scheme]), timeout=_CONNECT_SECONDS).close()
        except OSError as error:
            failures.append(error.strerror or str(error) or type(error).__name__)

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(_TOTAL_SECONDS)
    if attempt.is_alive():
        failures.append("no answer")
    return f"{host} cannot be reached: {failures[0]}" if failures else None
