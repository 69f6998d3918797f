"""STAR's stacked hourglass network: 68 facial landmarks."""
