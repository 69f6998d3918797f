"""The entry point of cvrun and the collector of garbage."""

from __future__ import annotations

import gc

from cvport.runtimes.commands import console, cvrun, start


def test_collection_waits_until_all_is_imported(monkeypatch):
    seen = []

    def main():
        seen.append(gc.isenabled())
        console.all_imported()
        seen.extend((gc.isenabled(), gc.get_freeze_count() > 0))

    monkeypatch.setattr(cvrun, "main", main)
    try:
        start.cvrun()
    finally:
        gc.enable()
        gc.unfreeze()
    assert seen == [False, True, True]


def test_a_collector_that_was_on_keeps_looking_at_everything():
    console.all_imported()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
