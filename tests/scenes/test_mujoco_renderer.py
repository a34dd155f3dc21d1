"""MuJoCo's renderer and ours, drawing the same rooms."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import trimesh

import scenes
from scenes import renderers, rooms
from scenes.geometry import meshes
from scenes.kit import errors

SIZE = 96
CONFIG = rooms.Config()


def batch():
    """Rooms in which every shape occurs, and meshes: every object that is not the first of its shape becomes one."""
    parts = [
        scenes.sample(rooms, CONFIG, "train", 8, np.arange(3)),
        scenes.sample(rooms, CONFIG, "new-shapes", 8, np.arange(3)),
    ]
    drawn = scenes.join(parts)
    knot = trimesh.creation.torus(0.7, 0.3, major_sections=20, minor_sections=10)
    firsts = np.unique(drawn.kind, return_index=True)[1]
    others = np.setdiff1d(np.flatnonzero(drawn.kind != scenes.KINDS.index("plane")), firsts)
    kind, mesh, size = drawn.kind.copy(), drawn.mesh.copy(), drawn.size.copy()
    kind[others], mesh[others], size[others] = scenes.KINDS.index("mesh"), np.arange(len(others)) % 2, size[others, :1]
    smooth = meshes.smooth(knot.vertices, knot.faces)
    drawn = dataclasses.replace(
        drawn, kind=kind, mesh=mesh, size=size, meshes=(smooth, dataclasses.replace(smooth, normals=None))
    )
    assert set(range(len(scenes.KINDS))) == set(drawn.kind.tolist())
    return drawn


def cameras(n, size=SIZE):
    poses = rooms.ring_poses(CONFIG, 5, np.arange(n), 1)[:, 0]
    # Two look in from outside, over walls and through the backs of others.
    poses[:2] = [(6, 1, 2.5, np.pi, -0.3), (-7, 0.3, 3, 0.1, -0.4)]
    return scenes.cameras_from_poses(poses, rooms.FOV, size, size)


def inner(ids):
    """Whether a pixel is further than one pixel from an edge of an image of ids."""
    wide = np.pad(ids, ((0, 0), (1, 1), (1, 1)), mode="edge")
    h, w = ids.shape[1:]
    return np.all([wide[:, y : y + h, x : x + w] == ids for y in range(3) for x in range(3)], axis=0)


@pytest.fixture(scope="module")
def rooms_seen():
    drawn = batch()
    return drawn, renderers.load("mujoco", drawn), renderers.load("raycast", drawn)


def compare(theirs, ours, drawn, view):
    within = inner(ours.ids)
    assert within.mean() > 0.7 and len(np.unique(ours.ids)) > 6
    assert (theirs.ids == ours.ids)[within].mean() >= 0.995
    met = within & (ours.ids >= 0) & (theirs.ids == ours.ids)
    np.testing.assert_allclose(theirs.depth[met], ours.depth[met], rtol=0.01)
    assert np.isinf(theirs.depth[theirs.ids < 0]).all()
    off = np.abs(theirs.rgb.astype(int) - ours.rgb.astype(int)).max(-1)
    plain = drawn.texture[drawn.offsets[view.scene][:, None, None] + np.maximum(ours.ids, 0)] == 0
    # Facets are flat where ours are round.
    assert np.quantile(off[met & plain], 0.95) <= 6 and off[met & plain].mean() < 2
    assert off[within & (ours.ids < 0) & (theirs.ids < 0)].max(initial=0) <= 1


@pytest.mark.opengl
def test_it_sees_what_the_ray_caster_sees(rooms_seen):
    drawn, mujoco, raycast = rooms_seen
    view = cameras(len(drawn))
    compare(mujoco.render(view), raycast.render(view), drawn, view)


@pytest.mark.opengl
def test_a_lamp_lights_as_the_ray_caster_s(rooms_seen):
    place = np.tile(np.float32([0.5, -0.4, 2.2]), (*rooms_seen[0].light_position.shape[:2], 1))
    lit = dataclasses.replace(
        rooms_seen[0], light_position=place, light_is_sun=np.zeros_like(rooms_seen[0].light_is_sun)
    )
    view = cameras(len(lit))
    theirs, ours = renderers.load("mujoco", lit).render(view), renderers.load("raycast", lit).render(view)
    dark = (
        renderers.load("raycast", dataclasses.replace(lit, light_colour=0 * lit.light_colour))
        .render(view)
        .rgb.astype(float)
    )
    kind = lit.kind[lit.offsets[view.scene][:, None, None] + np.maximum(ours.ids, 0)]
    # On large planes MuJoCo's light is that of a few corners.
    met = inner(ours.ids) & (ours.ids == theirs.ids) & (ours.ids >= 0) & (kind != scenes.KINDS.index("plane"))
    added = np.abs(ours.rgb - dark)[met].mean()
    assert added > 10 and np.abs(ours.rgb.astype(float) - theirs.rgb)[met].mean() < 0.2 * added


@pytest.mark.opengl
def test_orthographic_cameras_agree_too(rooms_seen):
    drawn, mujoco, raycast = rooms_seen
    view = dataclasses.replace(cameras(len(drawn)), extent=3.5)
    compare(mujoco.render(view), raycast.render(view), drawn, view)
    compare(mujoco.render(cameras(len(drawn))), raycast.render(cameras(len(drawn))), drawn, view)


@pytest.mark.opengl
def test_solids_go_where_poses_say_and_come_back(rooms_seen):
    drawn, mujoco, raycast = rooms_seen
    view = cameras(len(drawn))
    before = mujoco.render(view).rgb.copy()
    turn = scenes.look(np.linspace(0, 6, len(drawn.kind)), np.linspace(-1, 1, len(drawn.kind)))
    scenery = np.arange(len(drawn.kind)) - np.repeat(drawn.offsets[:-1], drawn.n_solids) < drawn.first_object
    poses = (drawn.position + np.float32([0, 0, 0.2]), np.where(scenery[:, None], drawn.rotation, turn))
    moved = mujoco.render(view, poses)
    assert (moved.rgb != before).any()
    compare(moved, raycast.render(view, poses), drawn, view)
    np.testing.assert_array_equal(mujoco.render(view).rgb, before)


@pytest.mark.opengl
def test_update_and_mask_and_out(rooms_seen):
    drawn, _, _ = rooms_seen
    view = cameras(len(drawn), 32)
    whole = renderers.load("mujoco", drawn).render(view)
    handle = renderers.load("mujoco", drawn[np.array([0, 0, 0, 3, 4, 5])])
    handle.render(view)
    handle.update(drawn[np.array([2, 1])], np.array([2, 1]))
    for name in ("rgb", "depth", "ids"):
        np.testing.assert_array_equal(getattr(handle.render(view), name), getattr(whole, name))
    out = scenes.Frames(np.full_like(whole.rgb, 7), whole.depth.copy(), whole.ids.copy())
    mask = np.arange(len(drawn)) % 2 == 0
    assert handle.render(view, mask=mask, out=out) is out
    np.testing.assert_array_equal(out.rgb[mask], whole.rgb[mask])
    assert (out.rgb[~mask] == 7).all()


@pytest.mark.opengl
def test_shadows_darken_and_samples_soften(rooms_seen):
    drawn = rooms_seen[0][3:5]  # a shadow map for each takes a while in software
    view = cameras(len(drawn))
    bare = renderers.load("mujoco", drawn).render(view)
    soft = renderers.load("mujoco", drawn, multisample=4).render(view)
    dark = renderers.load("mujoco", drawn, shadows=True).render(view)
    assert not np.array_equal(soft.rgb, bare.rgb) and (soft.ids == bare.ids).mean() > 0.99
    within = inner(bare.ids) & (bare.ids >= 0)
    change = dark.rgb.astype(int).sum(-1) - bare.rgb.astype(int).sum(-1)
    assert change[within].max() <= 3 and (change[within] < -15).any()


@pytest.mark.opengl
def test_what_cannot_be_drawn_is_refused(rooms_seen):
    drawn, mujoco, _ = rooms_seen
    with pytest.raises(errors.CaveError, match="wanted 1 to 8"):
        renderers.load("mujoco", drawn, supersample=9)
    with pytest.raises(errors.CaveError, match="poses have shapes"):
        mujoco.render(cameras(2), (drawn.position[1:], drawn.rotation))
    with pytest.raises(errors.CaveError, match="mask has shape"):
        mujoco.render(cameras(2), mask=np.ones(3, bool))
    with pytest.raises(errors.CaveError, match="one row each"):
        mujoco.update(drawn, np.arange(2))


def test_without_opengl_one_line_names_the_packages():
    script = (
        "import sys, numpy as np, scenes\n"
        "sys.modules['mujoco.egl'] = None  # as where the library is missing: its import fails\n"
        "from scenes import renderers, rooms\n"
        "from scenes.kit import errors\n"
        "batch = scenes.sample(rooms, rooms.Config(), 'train', 0, [0])\n"
        "try:\n"
        "    renderers.load('mujoco', batch)\n"
        "except errors.CaveError as error:\n"
        "    print(error)\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip()
    assert "\n" not in told and "libegl1 libgl1-mesa-dri" in told and "libosmesa6" in told


@pytest.mark.opengl
def test_images_of_planes_and_fog_agree(rooms_seen):
    drawn = rooms_seen[0][:2]
    v, u = np.indices((48, 64))
    picture = np.stack([4 * u, 5 * v, 128 + 60 * np.sin(u / 5)], -1).astype(np.uint8)
    shown = (drawn.kind == 0).astype(np.int32)
    dressed = dataclasses.replace(
        drawn, images=(picture,), image=shown - 1, texture=shown * scenes.TEXTURES.index("image"),
        texture_scale=np.full(len(shown), 1.5, np.float32), fog=np.tile(np.float32([1.5, 7]), (2, 1)),
        colour=np.where(shown[:, None, None] == 1, np.float32(1), drawn.colour),
    )  # fmt: skip
    view = cameras(4)
    view = dataclasses.replace(view, position=view.position[2:], rotation=view.rotation[2:], scene=view.scene[:2])
    ours, theirs = (renderers.load(name, dressed).render(view) for name in ("raycast", "mujoco"))
    within = inner(ours.ids) & (theirs.ids == ours.ids)
    off = np.abs(theirs.rgb.astype(int) - ours.rgb.astype(int)).max(-1)
    floor = within & np.isin(ours.ids, np.flatnonzero(drawn[:1].kind == 0))
    # Where two pictures meet, and where MuJoCo's are blurred, they differ.
    assert np.median(off[floor]) <= 5 and np.quantile(off[within & ~floor], 0.9) <= 6
    assert np.median(np.abs(theirs.rgb.astype(int) - renderers.load("raycast", drawn).render(view).rgb)[floor]) > 20
