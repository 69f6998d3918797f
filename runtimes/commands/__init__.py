"""The command cvrun, and what both commands share."""
