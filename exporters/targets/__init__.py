"""What other tools read of an .onnx file: a verdict for each node, for a target."""
