"""YOLOX and YOLOX-PAI detectors."""
