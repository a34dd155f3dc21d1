"""The ray caster's inner loops, compiled by numba: surfaces, trees of triangles, textures, and the frame they are drawn into."""
