"""Frames of videos, cameras and streams. Cameras are simulated: there is none where tests run."""

from __future__ import annotations

import itertools
import socket
import threading
import types

import cv2
import numpy as np
import pytest

from cvport.runtimes.sources import video
from cvport.runtimes.sources.base import SourceOptions
from cvport.runtimes.sources.registry import open_sources
from cvport.runtimes.sources.video import CameraSource, StreamSource, VideoSource, without_secret
from helpers import rtsp_server

OPTIONS = SourceOptions()


def write(path, values, rate=10, size=(64, 48), code="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), rate, size)
    assert writer.isOpened()
    for value in values:
        writer.write(np.full((size[1], size[0], 3), value, np.uint8))
    writer.release()
    return str(path)


@pytest.mark.parametrize(("suffix", "code"), [(".avi", "MJPG"), (".mp4", "mp4v")])
def test_frames_in_order_with_number_and_time(tmp_path, suffix, code):
    name = write(tmp_path / f"clip{suffix}", (0, 60, 120, 180, 240), code=code)
    source = open_sources([name], OPTIONS)
    assert source.total is None
    items = list(source)
    assert [(item.name, item.frame) for item in items] == [(name, number) for number in range(5)]
    np.testing.assert_allclose([item.time_s for item in items], [0, 0.1, 0.2, 0.3, 0.4], atol=2e-3)
    means = [item.image.mean() for item in items]
    np.testing.assert_allclose(means, [0, 60, 120, 180, 240], atol=4)
    assert items[0].image.shape == (48, 64, 3)


def test_stride_keeps_the_numbers_of_the_file(tmp_path):
    name = write(tmp_path / "clip.avi", (0, 60, 120, 180, 240))
    items = list(VideoSource(name, SourceOptions(vid_stride=2)))
    assert [(item.frame, item.time_s) for item in items] == [(0, 0.0), (2, 0.2), (4, 0.4)]
    np.testing.assert_allclose([item.image.mean() for item in items], [0, 120, 240], atol=4)


def test_a_video_without_frames_and_what_is_no_video(tmp_path):
    empty = tmp_path / "empty.avi"
    write(empty, ())
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 8)
    for path in (empty, noise):
        (item,) = VideoSource(str(path), OPTIONS)
        assert item.image is None
        assert "is no video" in item.error.message or "has no frames" in item.error.message


def test_a_video_that_breaks_off_gives_what_there_is(tmp_path):
    path = tmp_path / "clip.avi"
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(20):
        writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    *frames, last = VideoSource(str(path), OPTIONS)
    assert 5 < len(frames) < 15
    assert all(item.image is not None for item in frames)
    assert last.error.message == f"{path} breaks off: {len(frames)} of 20 frames could be read"


def test_frames_over_the_limit_of_pixels(tmp_path):
    items = list(VideoSource(write(tmp_path / "clip.avi", (0, 60)), SourceOptions(max_pixels=64 * 48 - 1)))
    assert len(items) == 2
    assert "has frames of 64x48 pixels, the limit is 3,071" in items[0].error.message


class Capture:
    """A simulated camera or stream: a list of frames for each time it is opened; None is a frame that is cut."""

    def __init__(self, openings):
        self.openings, self.opened, self.released = list(openings), [], 0

    def __call__(self, what, *_):
        self.opened.append(what)
        self.frames = self.openings.pop(0) if self.openings else None
        self._next = -1
        return self

    def isOpened(self):  # noqa: N802
        return self.frames is not None

    def get(self, _what):
        return 0.0

    def grab(self):
        self._next += 1
        return self._next < len(self.frames)

    def retrieve(self):
        frame = self.frames[self._next]
        return frame is not None, frame

    def release(self):
        self.released += 1


def frame(value, shape=(4, 6)):
    return np.full((*shape, 3), value, np.uint8)


def use(monkeypatch, *openings):
    capture = Capture(openings)
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    monkeypatch.setattr(video, "PAUSE", 0.001)
    return capture


def test_a_camera_that_is_simulated(monkeypatch):
    capture = use(monkeypatch, [frame(1), frame(2), frame(3)])
    *items, last = CameraSource("1", SourceOptions(vid_stride=2))
    assert capture.opened == [1]
    assert [(item.frame, int(item.image[0, 0, 0])) for item in items] == [(0, 1), (2, 3)]
    assert items[0].time_s <= items[1].time_s
    assert "camera 1 gives no more frames, after 3" in last.error.message
    assert capture.released == 1


def test_a_camera_that_is_not_there(monkeypatch):
    use(monkeypatch)
    (item,) = CameraSource("7", OPTIONS)
    assert item.error.message == "there is no camera 7"
    assert item.error.exit_code == 3


def test_a_stream_that_breaks_off_is_opened_again(monkeypatch):
    capture = use(monkeypatch, [frame(1), frame(2), None], None, [frame(3, (8, 8))])
    items = list(StreamSource("rtsp://me:secret@camera/1", OPTIONS))
    good = [item for item in items if item.image is not None]
    assert [(item.frame, item.image.shape[:2]) for item in good] == [(0, (4, 6)), (1, (4, 6)), (2, (8, 8))]
    lost = [item.error.message for item in items if item.error]
    assert lost[0] == "rtsp://***@camera/1 broke off after 2 frames; opening it again"
    assert lost[-1] == f"rtsp://***@camera/1 cannot be opened in {video.TRIES} tries"
    assert capture.opened == ["rtsp://me:secret@camera/1"] * len(capture.opened)
    assert not any("secret" in message for message in lost)
    assert not any("secret" in item.name for item in items)


def test_a_stream_that_nobody_serves(monkeypatch):
    monkeypatch.setattr(video, "PAUSE", 0.001)
    monkeypatch.setattr(video, "TRIES", 2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (item,) = open_sources([f"rtsp://127.0.0.1:{port}/live"], OPTIONS)
    assert item.error.message == f"rtsp://127.0.0.1:{port}/live cannot be opened in 2 tries"


def test_a_server_that_refuses_a_stream(monkeypatch):
    """A server that answers each request with an error, as one does that has no such stream."""
    monkeypatch.setattr(video, "PAUSE", 0.001)
    monkeypatch.setattr(video, "TRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        (item,) = open_sources([f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"], OPTIONS)
        thread.join(5)
    assert "cannot be opened" in item.error.message


def test_secrets_are_left_out():
    assert without_secret("rtsp://me:p%40ss@host:554/a@b") == "rtsp://***@host:554/a@b"
    assert without_secret("http://host/x.jpg") == "http://host/x.jpg"


def test_a_real_stream_comes_back_with_another_size(monkeypatch):
    reason = rtsp_server.missing()
    if reason:
        pytest.skip(reason)
    monkeypatch.setattr(video, "PAUSE", 0.3)
    monkeypatch.setattr(video, "TIMEOUT_MS", 2000)
    port = rtsp_server.free_port()
    source = iter(open_sources([f"rtsp://127.0.0.1:{port}/live"], OPTIONS))
    with rtsp_server.serving(port, 320, 240):
        first = [next(source) for _ in range(5)]
    assert [(item.frame, item.image.shape) for item in first] == [(number, (240, 320, 3)) for number in range(5)]
    times = [item.time_s for item in first]
    assert times == sorted(times), "frames that were waiting may come within one millisecond"
    assert first[0].image.std() > 5, "there is something to see"
    with rtsp_server.serving(port, 160, 120):
        items = list(itertools.takewhile(lambda item: item.image is None or item.image.shape[0] != 120, source))
        again = next(item for item in source if item.image is not None)
    (lost,) = [item.error.message for item in items if item.error]
    assert (
        lost == f"rtsp://127.0.0.1:{port}/live broke off after {len(first) + len(items) - 1} frames; opening it again"
    )
    assert again.image.shape == (120, 160, 3)
    assert again.frame > len(first)
    assert again.time_s > times[-1]


@pytest.mark.parametrize("stands_in", ["cv2", "cv2.utils.logging"])
def test_opencv_is_silent_in_all_its_versions(stands_in, monkeypatch):
    """The function that silences it moved in 4.13."""
    levels = []
    monkeypatch.setattr(cv2, "setLogLevel", levels.append if stands_in == "cv2" else None, raising=False)
    logging = types.SimpleNamespace(setLogLevel=levels.append) if stands_in != "cv2" else None
    monkeypatch.setattr(cv2.utils, "logging", logging, raising=False)
    assert not video._Capture("no-such-file.mp4").is_open
    assert levels == [0]
