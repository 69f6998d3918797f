"""MobileFaceNet with a classifying head: fifteen hand gestures, and any other checkpoint of the same structure."""
