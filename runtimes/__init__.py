"""Runtimes: run a model the same way on every backend."""
