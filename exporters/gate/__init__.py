"""The gate: legs run, compared, judged."""
