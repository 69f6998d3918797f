"""Fuzzing of what reads files and arrays that may be damaged or hostile; `python -m fuzz --help`, or `make fuzz`."""
