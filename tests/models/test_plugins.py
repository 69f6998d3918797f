"""Models of other packages: found by their entry points, examined apart; a bad one hurts no other."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import asdict

import pytest

from cvport.errors import UsageError
from cvport.models import plugins
from cvport.models.registry import MODELS, get_model, is_known, known_names, list_models, package_of, survey
from helpers.plugins import install, spec

KINDS = ("detections", "landmarks", "classes")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path, as site-packages is one."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def foreign(**settings):
    """The entries of other packages by name."""
    return {entry.name: entry for entry in plugins.examine(MODELS, KINDS, **settings)}


def test_a_model_of_another_package(site):
    install(site, "cvport-birds", {"bird": "plug_bird:SPEC"}, {"plug_bird": spec("bird")})
    assert asdict(foreign()["bird"]) == {
        "name": "bird",
        "package": "cvport-birds",
        "version": "1.2",
        "task": "finds birds",
        "kind": "classes",
        "hub": None,
        "reason": None,
    }
    assert list_models() == [*MODELS, "bird"]
    assert known_names() == [*MODELS, "bird"]
    assert get_model("bird").task == "finds birds"
    assert get_model("bird") is get_model("bird")
    assert package_of("bird") == "cvport-birds 1.2"
    assert package_of("yolox") is None
    assert is_known("bird")
    assert not is_known("fish")


def test_own_models_are_listed_first_with_the_version_of_cvport(site):
    import cvport

    install(site, "cvport-birds", {"bird": "plug_bird:SPEC"}, {"plug_bird": spec("bird")})
    entries = survey(KINDS)
    assert [entry.name for entry in entries] == [*MODELS, "bird"]
    assert {(entry.package, entry.version) for entry in entries[:-1]} == {("cvport", cvport.__version__)}
    assert entries[0].hub == get_model("yolox").hub


# How a package is broken: the text of its module, and the reason that is given.
BROKEN = {
    "missing": ("import no_such_module", "fails: ModuleNotFoundError: No module named 'no_such_module'"),
    "raising": ("raise ValueError('first line\\nsecond')", "fails: ValueError: first line"),
    "syntax": ("def (:", "fails: SyntaxError: invalid syntax (plug_syntax.py, line 1)"),
    "leaving": ("import sys; sys.exit('bye')", "fails: SystemExit: bye"),
    "stopping": ("import os; os._exit(3)", "importing it ends the interpreter (exit code 3)"),
    "crashing": ("import os; os.abort()", "importing it ends the interpreter (signal 6)"),
    "empty": ("", "fails: AttributeError: module 'plug_empty' has no attribute 'SPEC'"),
    "untyped": ("SPEC = {'name': 'untyped'}", "'plug_untyped:SPEC' is a dict, not a ModelSpec"),
    "misnamed": (spec("other"), "the entry point is called 'misnamed', its spec 'other'"),
    "unknown": (spec("unknown", kind="poems"), "this version of cvport has no kind of result 'poems'"),
    "bare": (spec("bare").replace('"network"', '"plan"'), "the spec names no network"),
}


def test_broken_packages_are_listed_with_the_reason_and_hurt_no_other(site, capfd):
    for name, (text, _) in BROKEN.items():
        install(site, f"broken-{name}", {name: f"plug_{name}:SPEC"}, {f"plug_{name}": text})
    install(site, "cvport-birds", {"bird": "plug_bird:SPEC"}, {"plug_bird": "print('hello')" + spec("bird")})
    entries = foreign()
    assert entries["bird"].reason is None
    for name, (_, reason) in BROKEN.items():
        assert (entries[name].reason or "").endswith(reason), name
        assert entries[name].package == f"broken-{name}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["missing", "raising", "leaving", "untyped", "misnamed", "bare"])
def test_asking_for_a_broken_model_gives_the_reason_and_the_next_step(site, name):
    text, reason = BROKEN[name]
    install(site, f"broken-{name}", {name: f"plug_asked_{name}:SPEC"}, {f"plug_asked_{name}": text})
    with pytest.raises(UsageError) as caught:
        get_model(name)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(f"the model {name!r} of broken-{name} 1.2 cannot be used: ")
    assert caught.value.message.endswith(reason.replace("plug_", "plug_asked_"))
    assert f"pip install --upgrade broken-{name}" in caught.value.hint
    assert f"pip uninstall broken-{name}" in caught.value.hint


def test_a_package_that_hangs_is_given_up(site, tmp_path):
    pid = tmp_path / "pid"
    hang = f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(600)\n"
    install(site, "slow", {"sloth": "plug_sloth:SPEC"}, {"plug_sloth": spec("sloth", before=hang)})
    install(site, "busy", {"bee": "plug_bee:SPEC"}, {"plug_bee": "while True: pass"})
    install(site, "cvport-birds", {"bird": "plug_bird:SPEC"}, {"plug_bird": spec("bird")})
    start = time.monotonic()
    entries = foreign(patience=3.0)
    assert time.monotonic() - start < 8
    assert entries["sloth"].reason == entries["bee"].reason == "importing it takes over 3 s"
    assert entries["bird"].reason is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_everything_is_given_five_seconds():
    assert plugins.PATIENCE == 5.0


CLASHES = {
    "yolox": "cvport itself has a model 'yolox'",
    "list": "'list' is a command of cvport",
    "serve": "'serve' is a command of cvport",
    "rejected": "'rejected' is the folder of exports that failed",
    "My-Model": "'My-Model' is no name of a model: a lowercase letter, then lowercase letters, digits and underscores",
    "twin": "the name is taken twice, by one and two",
}


def test_names_that_are_taken_are_listed_and_never_imported(site, tmp_path):
    marks = tmp_path / "marks"
    mark = f"import pathlib; pathlib.Path({str(marks)!r}).touch()\n"
    install(site, "one", dict.fromkeys(CLASHES, "plug_one:SPEC"), {"plug_one": spec("twin", before=mark)})
    install(site, "two", {"twin": "plug_two:SPEC"}, {"plug_two": spec("twin", before=mark)})
    entries = plugins.examine(MODELS, KINDS)
    assert [(entry.name, entry.reason) for entry in entries if entry.package == "one"] == sorted(CLASHES.items())
    assert [(entry.name, entry.reason) for entry in entries if entry.package == "two"] == [("twin", CLASHES["twin"])]
    assert get_model("yolox").package == "cvport.models.yolox"
    with pytest.raises(UsageError, match="taken twice, by one and two"):
        get_model("twin")
    with pytest.raises(UsageError, match="'list' is a command"):
        get_model("list")
    assert known_names() == list_models() == list(MODELS)
    assert not marks.exists()


def test_a_package_with_damaged_files_hides_no_other(site):
    damaged = install(site, "damaged", {}, {})
    (damaged / "entry_points.txt").write_text("[cvport.models]\nno value at all\n")
    (site / "empty-1.0.dist-info").mkdir()
    nameless = install(site, "nameless", {"fish": "plug_fish:SPEC"}, {"plug_fish": spec("fish")})
    (nameless / "METADATA").unlink()
    install(site, "cvport-birds", {"bird": "plug_bird:SPEC"}, {"plug_bird": spec("bird")})
    entries = foreign()
    assert (entries["bird"].reason, entries["fish"].reason) == (None, None)
    assert entries["damaged"].reason == "the entry points of its package cannot be read"
    assert set(entries) == {"bird", "fish", "damaged"}
    with pytest.raises(UsageError, match=r"of damaged 1\.2 cannot be used: the entry points"):
        get_model("damaged")


def test_a_package_that_is_twice_on_the_path_is_one(site, tmp_path, monkeypatch):
    install(site, "cvport-birds", {"bird": "plug_bird:SPEC"}, {"plug_bird": spec("bird")})
    other = tmp_path / "first"
    install(other, "cvport_birds", {"bird": "plug_bird:SPEC"}, {"plug_bird": spec("bird")}, version="2.0")
    monkeypatch.syspath_prepend(other)
    (entry,) = plugins.examine(MODELS, KINDS)
    assert (entry.version, entry.reason) == ("2.0", None)


def test_a_package_that_is_removed_is_gone(site):
    info = install(site, "cvport-birds", {"bird": "plug_bird:SPEC"}, {"plug_bird": spec("bird")})
    assert is_known("bird")
    shutil.rmtree(info)
    assert not is_known("bird")
    with pytest.raises(UsageError, match="there is no model 'bird'"):
        get_model("bird")


def test_a_name_that_is_nearly_right(site):
    install(site, "cvport-birds", {"bird": "plug_bird:SPEC"}, {"plug_bird": spec("bird")})
    with pytest.raises(UsageError) as caught:
        get_model("brid")
    assert caught.value.hint == "Did you mean 'bird'?"
