"""Training (needs the train extra): networks, losses, loops, export."""
