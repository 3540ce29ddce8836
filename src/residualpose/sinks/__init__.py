"""Where results go. `journal` writes a line a frame while a run goes on; all else is made of it.

A run that was killed has its journal up to the last whole frame, and goes on from there; every
other file is written from the journal in one step at the end, so that it is whole or not there.
"""
