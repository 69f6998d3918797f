"""A study of the gate: faults are planted at random in exported files, and counted are those that it sees."""
