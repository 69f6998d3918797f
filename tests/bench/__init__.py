"""Measures what cvport promises about speed: ``python -m bench``, with tests on the path."""
