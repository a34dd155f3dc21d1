"""The ray caster's inner loops, compiled by numba: surfaces, trees of triangles, textures, and the frame they are drawn into."""

import scenes.kit.compiler  # noqa: F401, which must come before the first function is declared
