"""A kind of result that cvport does not have, and a model that finds it: the 17 keypoints of a person, with scores.

`result` is its class, `kind` and `gate` are the two modules of the kind, the others are a model's folder.
"""
