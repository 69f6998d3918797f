"""How fast a model runs: pictures, laps, statistics, what the machine is, a plot."""
