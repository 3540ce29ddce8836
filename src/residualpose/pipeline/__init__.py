"""The stages, in order: normalise, maps, peaks, group, lift, complete, refine."""
