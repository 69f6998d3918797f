"""Models: one folder each with its network, preprocessing, postprocessing and spec."""
