"""Where the limits of each kind of result come from."""
