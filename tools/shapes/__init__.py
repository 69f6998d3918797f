"""Draws pictures of shapes, and trains a YOLOX-nano on them: where the packaged sample weights come from."""
