"""Where two legs part: the first operator that computes something else than its reference does."""
