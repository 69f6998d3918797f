"""Published artifacts are whole at every moment: for readers, after kills, on full disks, without symlinks."""

import errno
import io
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from cvport.errors import ArtifactError
from cvport.exporters.publish import publish, reject, stage, verify_sums
from cvport.models.weights.digest import sha256_file

NAME = "model"
OLD = {"model.onnx": b"old network", "parity.json": b"old figures"}
NEW = {"model.onnx": b"new network", "parity.json": b"new figures", "probes/one.png": b"picture"}
REAL_FSYNC = os.fsync
GENERATION = re.compile(rf"{NAME}-[0-9a-f]{{16}}")


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for relative, data in files.items():
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (folder / relative).write_bytes(data)


def export(output: Path, files: dict[str, bytes], name: str = NAME) -> Path:
    with stage(output, name) as staging:
        fill(staging, files)
        return publish(staging, output, name)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a whole artifact but its sums."""
    folder = folder.resolve(strict=True)
    verify_sums(folder)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    del files["SHA256SUMS"]
    return files


def generations(output: Path) -> list[Path]:
    return [path for path in (output / ".store").glob("*") if GENERATION.fullmatch(path.name)]


def staged(output: Path) -> list[Path]:
    return list((output / ".staging").iterdir())


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the flushing, which no reader and no killed process can tell: these are hundreds of publications."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def refuse_symlinks(*args: object, **kwargs: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.fixture
def no_symlinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "symlink", refuse_symlinks)


# --- publish


def test_fresh_publish(output: Path) -> None:
    target = export(output / "made" / "on the way", NEW)

    assert target == output / "made" / "on the way" / NAME
    assert contents(target) == NEW
    assert not target.readlink().is_absolute(), "the folder of artifacts can be moved"
    assert target.resolve().name == f"{NAME}-{sha256_file(target / 'SHA256SUMS')[:16]}"
    assert staged(target.parent) == []


def test_sums_are_those_of_sha256sum(output: Path) -> None:
    names = ["z.onnx", "a b.json", "sub/ü.png"]
    target = export(output, {name: name.encode() for name in names})

    sums = (target / "SHA256SUMS").read_text()
    assert sums.startswith(f"{sha256_file(target / 'a b.json')}  a b.json\n")
    assert set(contents(target)) == set(names)
    sha256sum = shutil.which("sha256sum")
    if sha256sum:
        listed = sorted(names)
        expected = subprocess.run(
            [sha256sum, "--", *listed], cwd=target, capture_output=True, check=True, encoding="utf-8"
        )
        assert sums == expected.stdout
        subprocess.run([sha256sum, "--check", "--strict", "SHA256SUMS"], cwd=target, capture_output=True, check=True)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_others_can_read_what_the_umask_lets_them(output: Path) -> None:
    before = os.umask(0o022)
    try:
        target = export(output, NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.resolve().stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "SHA256SUMS").stat().st_mode) == 0o644


def test_one_previous_generation_is_kept(output: Path) -> None:
    other = export(output, OLD, name=f"{NAME}-0123456789abcdef")
    places = [export(output, {"model.onnx": bytes([number])}).resolve() for number in range(4)]

    assert contents(output / NAME) == {"model.onnx": b"\x03"}
    assert sorted(generations(output)) == sorted(places[-2:])
    assert contents(places[-2]) == {"model.onnx": b"\x02"}
    assert contents(other) == OLD, "another name is another artifact"


def test_previous_generation_survives_publishing_the_same_again(output: Path) -> None:
    first = export(output, OLD).resolve()
    second = export(output, NEW).resolve()
    assert export(output, NEW).resolve() == second
    assert set(generations(output)) == {first, second}

    assert export(output, OLD).resolve() == first
    assert set(generations(output)) == {first, second}
    assert contents(output / NAME) == OLD
    assert staged(output) == []


def test_publishing_the_same_again_repairs(output: Path) -> None:
    target = export(output, NEW)
    (target / "model.onnx").write_bytes(b"edited by hand")
    (target / "probes" / "one.png").unlink()
    (target / "probes").rmdir()

    assert contents(export(output, NEW)) == NEW


def test_everything_is_on_the_disk_before_it_is_reachable(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(output, OLD)
    events: list[tuple[str, object]] = []

    def log_move(call: Callable[..., None]) -> Callable[..., None]:
        def move(source: Path, target: Path) -> None:
            events.append(("move", Path(target)))
            call(source, target)

        return move

    def log_flush(descriptor: int) -> None:
        events.append(("sync", os.fstat(descriptor).st_ino))
        REAL_FSYNC(descriptor)

    monkeypatch.setattr(os, "fsync", log_flush)
    monkeypatch.setattr(os, "rename", log_move(os.rename))
    monkeypatch.setattr(os, "replace", log_move(os.replace))
    target = export(output, NEW)

    place = target.resolve()
    stored, swapped = events.index(("move", place)), events.index(("move", target))
    flushed_first = {inode for kind, inode in events[:stored] if kind == "sync"}
    assert {path.stat().st_ino for path in (place, *place.rglob("*"))} <= flushed_first
    assert ("sync", place.parent.stat().st_ino) in events[stored:swapped]
    assert ("sync", output.stat().st_ino) in events[swapped:]


# --- readers and writers at the same time


class Reader(threading.Thread):
    """Reads the artifact over and over, the way a user of several of its files does."""

    def __init__(self, target: Path) -> None:
        super().__init__(daemon=True)
        self.target = target
        self.rounds = 0
        self.seen: set[bytes] = set()
        self.problem: BaseException | None = None
        self.progress = threading.Condition()
        self.stopped = False

    def run(self) -> None:
        try:
            while not self.stopped:
                self.seen.add(self.read())
                with self.progress:
                    self.rounds += 1
                    self.progress.notify_all()
        except BaseException as problem:
            with self.progress:
                self.problem = problem
                self.progress.notify_all()

    def read(self) -> bytes:
        verify_sums(self.target)
        (self.target / "model.onnx").read_bytes()
        files = contents(self.target)
        assert set(files) == {"model.onnx", "parity.json"}
        assert files["model.onnx"] == files["parity.json"], "two generations were mixed"
        return files["model.onnx"]

    def wait_for_a_round(self) -> None:
        """Wait until a round that began before this call is over."""
        with self.progress:
            goal = self.rounds + 1
            assert self.progress.wait_for(lambda: self.problem or self.rounds >= goal, timeout=10)


def test_readers_see_whole_artifacts_through_200_publications(output: Path) -> None:
    def files(number: int) -> dict[str, bytes]:
        return dict.fromkeys(("model.onnx", "parity.json"), b"%d" % number * 5000)

    reader = Reader(export(output, files(0)))
    reader.start()
    for number in range(1, 201):
        export(output, files(number))
        # What is promised to a slow reader is one generation, so it is never left further behind.
        reader.wait_for_a_round()
        if reader.problem:
            break
    reader.stopped = True
    reader.join(10)

    assert reader.problem is None, repr(reader.problem)
    assert len(reader.seen) > 100, "the reader did see the artifact change"


def test_exports_at_the_same_time(output: Path) -> None:
    workers, rounds = 4, 30

    def work(worker: int, number: int) -> None:
        export(output, {"model.onnx": b"%d %d" % (worker, number)})

    with ThreadPoolExecutor(workers) as pool:
        for number in range(rounds):
            list(pool.map(work, range(workers), [number] * workers))
            assert contents(output / NAME)["model.onnx"].endswith(b" %d" % number)
            assert len(generations(output)) == 2
            assert staged(output) == []


# --- faults at every step

FINISHED, FAULT_SURVIVED, EXPLAINED, INTERRUPTED, UNEXPECTED = range(5)
CHANGES = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"}  # os.replace is an os.rename


def changes_disk(event: str, args: tuple[object, ...]) -> bool:
    """Tell whether an event of `sys.audit` is a change on the disk."""
    return event in CHANGES or (event == "open" and bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def full_disk() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt() -> None:
    raise KeyboardInterrupt


def run_with_fault(work: Callable[[], object], at: int, fault: Callable[[], None]) -> int:
    """Run *work* in a child whose change number *at* on the disk is preceded by *fault*; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ending = UNEXPECTED
    try:
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                fault()

        os.fsync = lambda descriptor: step()
        sys.addaudithook(lambda event, args: step() if changes_disk(event, args) else None)
        work()
        ending = FINISHED if steps < at else FAULT_SURVIVED
    except ArtifactError as error:
        ending = EXPLAINED if "no space left on" in str(error) else UNEXPECTED
    except KeyboardInterrupt:
        ending = INTERRUPTED
    finally:
        os._exit(ending)


def over_a_link(output: Path) -> None:
    export(output, {"model.onnx": b"very old network", "parity.json": b"to be pruned"})
    export(output, OLD)


def over_a_plain_folder(output: Path) -> None:
    copied = export(output.with_name("elsewhere"), OLD)
    shutil.copytree(copied.resolve(), output / NAME)


def over_the_same(output: Path) -> None:
    export(output, NEW)


def publish_new(output: Path) -> None:
    export(output, NEW)


@dataclass(frozen=True)
class Scenario:
    before: Callable[[Path], None]
    symlinks: bool = True
    two_renames: bool = False


SCENARIOS = {
    "link": Scenario(over_a_link),
    "plain-folder": Scenario(over_a_plain_folder, two_renames=True),
    "same": Scenario(over_the_same),
    "no-symlinks": Scenario(over_a_link, symlinks=False, two_renames=True),
}
FAULTS = {
    kill: {-signal.SIGKILL},
    full_disk: {EXPLAINED, FAULT_SURVIVED},
    interrupt: {INTERRUPTED},
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize(
    ("scenario", "fault"),
    [
        pytest.param(scenario, fault, id=f"{name}-{fault.__name__}")
        for name, scenario in SCENARIOS.items()
        for fault in FAULTS
        if fault is kill or name in {"link", "plain-folder", "no-symlinks"}  # the rest shares their error handling
    ],
)
def test_fault_at_every_step(
    output: Path, monkeypatch: pytest.MonkeyPatch, scenario: Scenario, fault: Callable[[], None]
) -> None:
    if not scenario.symlinks:
        monkeypatch.setattr(os, "symlink", refuse_symlinks)
    target = output / NAME
    endings: list[int] = []
    found = []
    while FINISHED not in endings:
        scenario.before(output)
        was = contents(target)
        endings.append(run_with_fault(lambda: publish_new(output), len(endings) + 1, fault))

        if fault is kill and scenario.two_renames and not os.path.lexists(target):
            whole = [contents(path) for path in (output / ".store").iterdir()]
            assert was in whole
            assert NEW in whole
        else:
            found.append(contents(target))
            assert found[-1] in (was, NEW)
        for place in generations(output):
            verify_sums(place)
        if fault is kill:
            assert contents(export(output, {"model.onnx": b"next"})) == {"model.onnx": b"next"}
            assert staged(output) == [], "what the killed export left is gone"
            assert len(generations(output)) <= 2
        shutil.rmtree(output)

    assert len(endings) > 15, "the faults did happen"
    assert set(endings) == {*FAULTS[fault], FINISHED}
    assert was in found
    assert found[-1] == NEW


def test_failed_swap_leaves_no_second_copy_on_a_full_disk(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(output, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(os, "symlink", lambda *args, **kwargs: full_disk())
        with pytest.raises(ArtifactError, match="no space left on"):
            export(output, NEW)
    assert contents(output / NAME) == OLD
    assert len(generations(output)) == 1
    assert staged(output) == []


# --- stage


def test_stage_removes_what_is_neither_published_nor_rejected(output: Path) -> None:
    with stage(output, NAME) as staging:
        fill(staging, NEW)
        assert staging.is_relative_to(output)
    assert staged(output) == []


@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_interrupted_stage_leaves_nothing(output: Path, problem: type[BaseException]) -> None:
    export(output, OLD)
    with pytest.raises(problem), stage(output, NAME) as staging:
        raise problem(fill(staging, NEW))
    assert staged(output) == []
    assert contents(output / NAME) == OLD


def test_live_staging_is_kept_and_that_of_a_killed_process_removed(output: Path) -> None:
    code = (
        "import pathlib, sys; from cvport.exporters.publish import stage\n"
        "with stage(pathlib.Path(sys.argv[1]), 'other') as folder:\n"
        "    (folder / 'half').write_bytes(b'x'); print(folder, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, output], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as exporter:
        assert exporter.stdout
        folder = Path(exporter.stdout.readline().strip())
        export(output, OLD)
        assert (folder / "half").exists(), "its owner is at work"
        exporter.kill()
        exporter.wait()
    assert folder.exists()
    export(output, NEW)
    assert staged(output) == []


def test_two_stages_of_one_process_do_not_meet(output: Path) -> None:
    with stage(output, NAME) as first:
        fill(first, OLD)
        with stage(output, NAME) as second:
            fill(second, NEW)
            assert first != second
            publish(second, output, NAME)
        publish(first, output, NAME)
    assert contents(output / NAME) == OLD


def test_staging_of_other_hosts_is_removed_after_a_day(output: Path) -> None:
    folder = output / ".staging" / "model-otherhost-999999999-0123abcd"
    fill(folder, NEW)
    with stage(output, NAME):
        assert folder.exists(), "its process cannot be asked"
    day_before_yesterday = time.time() - 48 * 3600
    os.utime(folder, (day_before_yesterday, day_before_yesterday))
    with stage(output, NAME):
        assert not folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks anyway")
def test_file_system_without_locks(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with stage(output, NAME) as live:
        assert contents(export(output, NEW)) == NEW
        assert live.exists(), "it may be in use, and is young"


# --- plain folders, no symlinks


def test_plain_folder_is_moved_aside_and_never_deleted(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(output / NAME, {"my notes.txt": b"precious"})
    before = {path.name: path.read_bytes() for path in (output / NAME).iterdir()}
    with caplog.at_level(logging.WARNING):
        for number in range(4):
            export(output, {"model.onnx": bytes([number])})

    assert (output / NAME).is_symlink()
    assert contents(output / NAME) == {"model.onnx": b"\x03"}
    (kept,) = (output / ".store").glob(f"{NAME}-kept-*")
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert str(kept) in caplog.text


def test_plain_folder_is_put_back_when_the_swap_fails(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over_a_plain_folder(output)
    rename = os.rename

    def fail_into_place(source: Path, target: Path) -> None:
        if Path(target) == output / NAME and Path(source).is_symlink():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_into_place)
    with pytest.raises(ArtifactError, match="cannot write to"):
        export(output, NEW)
    assert contents(output / NAME) == OLD
    assert not (output / NAME).is_symlink()
    assert staged(output) == []


@pytest.mark.usefixtures("no_symlinks")
def test_without_symlinks_plain_folders_are_published(output: Path) -> None:
    for number in (0, 1, 2, 3, 3, 3):
        target = export(output, {"model.onnx": bytes([number])})
        assert contents(target) == {"model.onnx": bytes([number])}
        assert not target.is_symlink()

    (previous,) = (path for path in (output / ".store").iterdir())
    assert contents(previous) == {"model.onnx": b"\x02"}
    assert staged(output) == []


@pytest.mark.usefixtures("no_symlinks")
def test_without_symlinks_what_a_user_added_is_kept(output: Path) -> None:
    target = export(output, OLD)
    (target / "my notes.txt").write_bytes(b"precious")
    for number in range(3):
        export(output, {"model.onnx": bytes([number])})
    (kept,) = (output / ".store").glob(f"{NAME}-kept-*")
    assert (kept / "my notes.txt").read_bytes() == b"precious"


def test_symlinks_come_and_go(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(output, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(os, "symlink", lambda *args, **kwargs: (_ for _ in ()).throw(NotImplementedError))
        assert contents(export(output, NEW)) == NEW
    assert not (output / NAME).is_symlink()
    assert contents(export(output, OLD)) == OLD
    assert (output / NAME).is_symlink()


# --- reject


def test_reject_leaves_the_published_artifact_alone(output: Path) -> None:
    published = export(output, OLD).resolve()
    tokyo = datetime(2025, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=9)))
    places = []
    for _ in range(3):
        with stage(output, NAME) as staging:
            fill(staging, NEW)
            places.append(reject(staging, output, NAME, now=tokyo))

    stem = f"{NAME}-20250101T180405Z"
    assert places == [output / "rejected" / f"{stem}{suffix}" for suffix in ("", "-2", "-3")]
    assert all(contents(place) == NEW for place in places)
    assert (output / NAME).resolve() == published
    assert generations(output) == [published]
    assert staged(output) == []


def test_reject_names_the_current_time(output: Path) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    with stage(output, NAME) as staging:
        place = reject(staging, output, NAME)
    stamp = datetime.strptime(place.name, f"{NAME}-%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert start <= stamp <= datetime.now(UTC)
    assert not os.path.lexists(output / NAME)


# --- replace_files


# --- verify_sums


def test_verify_sums_names_the_files(output: Path) -> None:
    target = export(output, NEW)
    verify_sums(target)
    (target / "parity.json").write_bytes(b"forged")
    (target / "probes" / "one.png").unlink()
    with pytest.raises(ArtifactError, match=r"altered parity\.json; missing probes/one\.png") as caught:
        verify_sums(target)
    assert "cvexport" in caught.value.hint


@pytest.mark.parametrize("sums", [b"", b"no sums\n", b"0" * 64 + b" x\n", b"\xff\xfe"])
def test_verify_sums_refuses_broken_sums(output: Path, sums: bytes) -> None:
    target = export(output, OLD)
    (target / "SHA256SUMS").write_bytes(sums)
    with pytest.raises(ArtifactError, match=r"damaged|cannot be read"):
        verify_sums(target)


def test_verify_sums_without_sums(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="SHA256SUMS cannot be read"):
        verify_sums(tmp_path)
    with pytest.raises(ArtifactError, match="SHA256SUMS cannot be read"):
        verify_sums(tmp_path / "missing")


@pytest.mark.parametrize(("name", "told"), [("parity.json", "cannot read parity.json: "), ("", "cannot be listed: ")])
def test_verify_sums_where_the_disk_fails(output: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str) -> None:
    target = export(output, NEW).resolve()

    def broken(call: Callable[..., object]) -> Callable[..., object]:
        def failing(path: Path, *args: object, **options: object) -> object:
            if Path(path) == target / name:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            return call(path, *args, **options)

        return failing

    monkeypatch.setattr(os, "scandir", broken(os.scandir))
    monkeypatch.setattr(io, "open", broken(io.open))
    with pytest.raises(ArtifactError, match=rf"{told}Input/output error"):
        verify_sums(target)


# --- errors a user understands


def test_output_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"mine")
    for output in (file, file / "below"):
        with pytest.raises(ArtifactError, match=rf"cannot write to .*: {re.escape(str(file))} is a file") as caught:
            export(output, NEW)
        assert "--output" in caught.value.hint
    assert file.read_bytes() == b"mine"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EIO])
def test_output_that_cannot_be_written_to(output: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(ArtifactError, match=rf"cannot write to {re.escape(str(output))}: {os.strerror(code)}"):
        export(output, NEW)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files from anybody")
def test_kernel_folder_as_output() -> None:
    with pytest.raises(ArtifactError, match="cannot write to /proc/cvport"):
        export(Path("/proc/cvport"), NEW)


def test_read_only_output_with_writable_parts(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(output, OLD)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != output)
    with pytest.raises(ArtifactError, match="cannot write to"), stage(output, NAME):
        pytest.fail("the work must not begin")
    assert staged(output) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_noticed_before_the_work(output: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ArtifactError, match="no space left on"), stage(output, NAME):
        pytest.fail("the work must not begin")
    assert staged(output) == []


def test_disk_that_fills_up_during_the_work(output: Path) -> None:
    with pytest.raises(ArtifactError, match="no space left on"), stage(output, NAME):
        full_disk()
    assert staged(output) == []


def test_errors_of_other_files_are_not_blamed_on_the_output(output: Path) -> None:
    with pytest.raises(FileNotFoundError), stage(output, NAME):
        Path("no such checkpoint.pt").read_bytes()
    with pytest.raises(ArtifactError, match="cannot write to"), stage(output, NAME) as staging:
        (staging / "no such folder" / "file").write_bytes(b"")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs resource limits")
def test_file_size_limit(output: Path) -> None:
    code = (
        "import pathlib, resource, sys; from cvport.exporters.publish import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "with stage(pathlib.Path(sys.argv[1]), 'model'): pass"
    )
    ended = subprocess.run([sys.executable, "-c", code, output], capture_output=True, text=True, check=False)
    assert "ArtifactError: cannot write to" in ended.stderr
    assert os.strerror(errno.EFBIG) in ended.stderr
    assert staged(output) == []


def test_whole_copy_of_a_user_is_never_deleted(output: Path) -> None:
    over_a_plain_folder(output)
    for number in range(4):
        export(output, {"model.onnx": bytes([number])})
    (kept,) = (output / ".store").glob(f"{NAME}-kept-*")
    assert contents(kept) == OLD


def test_previous_generation_stays_when_symlinks_go(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = export(output, OLD).resolve()
    monkeypatch.setattr(os, "symlink", refuse_symlinks)
    export(output, NEW)
    assert contents(before) == OLD
    assert contents(output / NAME) == NEW
