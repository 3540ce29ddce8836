"""How good the poses are and how long they take: matching, metrics, labelled frames, timing."""
