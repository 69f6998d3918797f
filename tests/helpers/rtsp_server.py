"""An RTSP server of moving pictures by GStreamer (Debian: gir1.2-gst-rtsp-server-1.0, python3-gi), in a process."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager

PYTHON = "/usr/bin/python3"
_SCRIPT = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
port, width, height = sys.argv[1:]
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f"( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate=20/1"
    " ! jpegenc ! rtpjpegpay name=pay0 )"
)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
GLib.MainLoop().run()
"""
_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def missing() -> str:
    """Why there is no such server here; empty where there is."""
    try:
        done = subprocess.run([PYTHON, "-c", _PROBE], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return f"{PYTHON} cannot be run"
    return "" if done.returncode == 0 else "GStreamer's RTSP server is not installed"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def serving(port: int, width: int, height: int):
    """Serve rtsp://127.0.0.1:PORT/live until the block is left."""
    server = subprocess.Popen([PYTHON, "-c", _SCRIPT, str(port), str(width), str(height)])
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield
    finally:
        server.kill()
        server.wait()
