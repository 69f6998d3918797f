"""A hub on 127.0.0.1: what the clients of Hugging Face and ModelScope ask for, and the faults that a network has."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

HF_DEFAULT, MS_DEFAULT = "main", "master"
# Both hubs keep these in git and everything else in their large-file storage.
_SMALL = (".json", ".md")


class Request(NamedTuple):
    method: str
    path: str
    range: str


@dataclass
class Repository:
    """Files by commit, commits by branch or tag."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)

    def find(self, revision: str) -> str | None:
        commit = self.revisions.get(revision, revision)
        return commit if commit in self.commits else None


class HubServer(ThreadingHTTPServer):
    """Speaks as both hubs do.

    Attributes:
        requests: What was asked for, in order.
        cut: Bytes after which the connection of the next download of that file ends.
        stays_cut: Whether that file is refused from then on.
        hold: Whether such a connection stays open instead, without a further byte.
        held: Set once one is.
        altered: Bytes sent instead of a file's; sizes and digests stay those of the file.
        refuse: The status that a download of that file is answered with.
        closed: The status and Hugging Face's error code with which a repository is answered.
        gated: The same for files alone, which is how a gated model answers: its listing is public.

    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.cut: dict[str, int] = {}
        self.stays_cut = False
        self.hold = False
        self.held = threading.Event()
        self.altered: dict[str, bytes] = {}
        self.refuse: dict[str, int] = {}
        self.closed: dict[str, tuple[int, str]] = {}
        self.gated: tuple[int, str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def publish(self, name: str, files: dict[str, bytes], *tags: str) -> str:
        """Add a commit, make it the newest and give it the tags; return its hash."""
        repository = self.repositories.setdefault(name, Repository())
        commit = hashlib.sha1(repr((sorted(files.items()), len(repository.commits))).encode()).hexdigest()
        repository.commits[commit] = files
        for revision in (HF_DEFAULT, MS_DEFAULT, *tags):
            repository.revisions[revision] = commit
        return commit

    def downloads(self, name: str) -> list[Request]:
        """The requests for the bytes of a file."""
        sent = [request for request in self.requests if request.method == "GET"]
        ends = (f"FilePath={name}", f"/{name}")
        return [request for request in sent if request.path.endswith(ends) and "/tree/" not in request.path]

    def blob(self, digest: str) -> tuple[str, bytes] | None:
        """The file of that digest, with its name."""
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for name, data in files.items():
                    if _sha256(data) == digest:
                        return name, data
        return None

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a client goes away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.requests.append(Request(self.command, self.path, self.headers.get("Range", "")))
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if parts[:2] == ["api", "v1"]:
            self._modelscope(parts[2:], query)
        elif parts[:2] == ["api", "models"]:
            self._hugging_face_api("/".join(parts[2:4]), parts[4:])
        elif parts[0] == "cdn":
            name, data = self.server.blob(parts[1]) or ("", b"")
            self._send_file(name, data, {})
        elif parts[2:3] == ["resolve"]:
            self._hugging_face_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._send_json({}, 404)

    # Hugging Face

    def _hugging_face_api(self, name: str, rest: list[str]) -> None:
        kind, revision = (*rest, "", "")[:2]
        files = self._hugging_face_files(name, revision or HF_DEFAULT)
        if files is None:
            return
        commit = self.server.repositories[name].find(revision or HF_DEFAULT)
        if kind == "tree":
            self._send_json([_tree_entry(path, data) for path, data in files.items()])
        else:
            self._send_json({"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]})

    def _hugging_face_files(self, name: str, revision: str) -> dict[str, bytes] | None:
        """Return the files of a revision, or answer why there are none."""
        status, code = self.server.closed.get(name, (0, ""))
        repository = self.server.repositories.get(name)
        if status:
            self._send_json({"error": "closed"}, status, {"X-Error-Code": code})
        elif repository is None:
            self._send_json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif (commit := repository.find(revision)) is None:
            self._send_json({"error": f"Invalid rev id: {revision}"}, 404, {"X-Error-Code": "RevisionNotFound"})
        else:
            return repository.commits[commit]
        return None

    def _hugging_face_file(self, name: str, revision: str, path: str) -> None:
        files = self._hugging_face_files(name, revision)
        if files is None or self._is_gated():
            return
        commit = str(self.server.repositories[name].find(revision))
        data = files[path]
        if path.endswith(_SMALL):
            self._send_file(path, data, {"X-Repo-Commit": commit, "ETag": f'"{_git_sha1(data)}"'})
            return
        linked = {"X-Linked-ETag": f'"{_sha256(data)}"', "X-Linked-Size": str(len(data)), "X-Repo-Commit": commit}
        # The storage is another host: the client follows what stays on the hub.
        storage = self.server.url.replace("127.0.0.1", "localhost")
        self._send(302, b"", {"Location": f"{storage}/cdn/{_sha256(data)}/{path}", **linked})

    # ModelScope

    def _modelscope(self, parts: list[str], query: dict[str, str]) -> None:
        name, kind = "/".join(parts[1:3]), parts[3:]
        if parts[0] != "models":
            self._send_json({"Code": 200, "Data": {}, "Success": True})
            return
        status, _ = self.server.closed.get(name, (0, ""))
        repository = self.server.repositories.get(name)
        commit = repository.find(query.get("Revision", MS_DEFAULT)) if repository else None
        if status:
            self._send_json({"Code": status, "Message": "no permission", "Success": False}, status)
        elif repository is None or commit is None:
            self._send_json({"Code": 10010205001, "Message": "record not found", "Success": False}, 404)
        elif kind == ["repo", "files"]:
            entries = [_file_entry(path, data) for path, data in repository.commits[commit].items()]
            self._send_json({"Code": 200, "Data": {"Files": entries}, "Success": True})
        elif not self._is_gated():
            path = query["FilePath"]
            self._send_file(path, repository.commits[commit][path], {})

    # both

    def _is_gated(self) -> bool:
        """Answer so if files are gated."""
        if self.server.gated:
            status, code = self.server.gated
            self._send_json({"error": "gated"}, status, {"X-Error-Code": code})
        return self.server.gated is not None

    def _send_file(self, name: str, data: bytes, headers: dict[str, str]) -> None:
        """Send a file or the range that is asked for, with the faults that are set."""
        server = self.server
        if name in server.refuse and self.command == "GET":
            self._send(server.refuse[name], b"", {})
            return
        data = server.altered.get(name, data)
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").partition("-")[0] or 0)
        if start:
            headers |= {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        cut = server.cut.pop(name, None) if self.command == "GET" else None
        if cut is not None and server.stays_cut:
            server.refuse[name] = 500
        self._send(206 if start else 200, data[start:], {"Accept-Ranges": "bytes", **headers}, cut)

    def _send_json(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(HTTPStatus(status))
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.wfile.flush()
            if self.server.hold:
                self.server.held.set()
                self.rfile.read()  # until the client goes away
            self.close_connection = True


def _tree_entry(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": _git_sha1(data)}
    if not path.endswith(_SMALL):
        entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 130}
    return entry


def _file_entry(path: str, data: bytes) -> dict[str, object]:
    return {"Name": path, "Path": path, "Type": "blob", "Size": len(data), "Sha256": _sha256(data)}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
