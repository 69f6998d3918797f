"""The command cvexport."""
