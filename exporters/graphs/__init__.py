"""From a network to ONNX graphs."""
