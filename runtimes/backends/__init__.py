"""Backends: one protocol, a module each."""
