"""Pictures of results: a 2D overlay, a 3D view, an interactive page."""
