"""Kinds of result: how each is measured, judged, written and drawn."""
