"""Scenes as shapes: triangle meshes of solids, and whole scenes as files that other programs read."""
