"""The ray caster's inner loops, compiled by numba: surfaces, textures, and the frame they are drawn into."""
