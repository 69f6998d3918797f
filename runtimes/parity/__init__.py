"""Comparing: statistics, limits, verdicts."""
