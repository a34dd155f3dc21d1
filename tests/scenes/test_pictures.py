"""Images on solids, and fog, against sums that are written out."""

import dataclasses
import math

import numpy as np
import pytest

import scenes
from scenes import geometry, renderers
from scenes.kit import errors
from scenes.renderers import raycast
from tests.scenes import test_raycast as oracle

UPRIGHT = (1, 0, 0, 0)
HALF = math.pi / 2
# Yaw and pitch of one who faces a side of a box; for the top and the bottom, with y up.
SIDES = {
    (-1, 0, 0): (0, 0), (1, 0, 0): (math.pi, 0), (0, -1, 0): (HALF, 0), (0, 1, 0): (-HALF, 0),
    (0, 0, 1): (HALF, -HALF), (0, 0, -1): (-HALF, HALF),
}  # fmt: skip


def picture(h, w, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


def dressed(solids, images, scale=1.0, number=0, **fields):
    """A scene of solids of the texture `image`, all of one size and seen in white light."""
    scene = oracle.scene_of([(*solid, "image") for solid in solids], [], ambient=1.0)
    n = len(solids)
    fields = {"colour": np.ones((n, 2, 3), np.float32), "texture_scale": np.full(n, scale, np.float32)} | fields
    return dataclasses.replace(scene, images=tuple(images), image=np.full(n, number, np.int32), **fields)


def facing(side, height, width, extent, away=3.0, at=(0, 0, 0)):
    yaw, pitch = SIDES[side]
    place = np.array(at) + away * np.array(side)
    return scenes.cameras_from_poses([[*place, yaw, pitch]], 1.0, height, width, extent=extent)


@pytest.mark.parametrize("side", SIDES)
def test_every_side_of_a_box_shows_the_picture_upright(side):
    shown = picture(12, 8)
    size = (0.5, 0.5, 0.75) if side[2] == 0 else (0.5, 0.75, 0.5)
    scene = dressed([("box", size, (0, 0, 0), UPRIGHT)], [shown])
    frames = raycast.load(scene).render(facing(side, 12, 8, 1.5))
    assert np.abs(frames.rgb[0].astype(int) - shown).max() <= 1


def test_a_plane_shows_it_and_repeats_it_with_square_pixels():
    shown = picture(4, 6)
    scene = dressed([("plane", (3, 3, 0), (5, 5, 1), UPRIGHT)], [picture(3, 3, 1), shown], scale=0.5, number=1)
    frames = raycast.load(scene).render(facing((0, 0, 1), 12, 18, 1.0, at=(5, 5, 1)))
    assert np.abs(frames.rgb[0].astype(int) - np.tile(shown, (3, 3, 1))).max() <= 1


def area_mean(shown, left, top, width, height):
    """Mean of a repeated picture over a rectangle, by its pixels' shares in it."""
    h, w = shown.shape[:2]

    def shares(begin, length, n):
        cells = np.arange(math.floor(begin), math.ceil(begin + length))
        share = np.minimum(cells + 1, begin + length) - np.maximum(cells, begin)
        return np.bincount(cells % n, share / length, n)

    return np.einsum("y,x,yxc->c", shares(top, height, h), shares(left, width, w), shown.astype(float))


@pytest.mark.parametrize("covers", [0.37, 1.0, 1.9, 3.7, 11.3])
def test_a_pixel_shows_the_mean_of_what_it_covers(covers):
    shown = picture(16, 20)
    scene = dressed([("plane", (500, 500, 0), (0, 0, 0), UPRIGHT)], [shown], scale=2.0)
    h, w = 9, 13
    frames = raycast.load(scene).render(facing((0, 0, 1), h, w, h * covers * 0.1))
    window = max(covers, 1.0)  # a finer one shows its way from one of the picture's pixels to the next
    for y in range(h):
        for x in range(w):
            column, row = 10 + (x + 0.5 - w / 2) * covers, 8 + (y + 0.5 - h / 2) * covers
            wanted = area_mean(shown, column - window / 2, row - window / 2, window, window)
            assert np.abs(frames.rgb[0, y, x] - wanted).max() <= 1.01, (y, x)


def test_what_is_finer_than_a_pixel_fades_and_does_not_shimmer():
    squares = np.kron(np.indices((16, 16)).sum(0) % 2, np.ones((8, 8)))[..., None] * np.uint8([255, 255, 255])
    scene = dressed([("plane", (0, 0, 0), (0, 0, 0), UPRIGHT)], [squares.astype(np.uint8)], scale=4.0)
    cameras = [oracle.camera((0.013 * i, 0.3, 1.0, 0.1, -0.1), 64, 64) for i in range(8)]
    handle = raycast.load(scene)
    rows = np.stack([handle.render(camera).rgb[0, :, :, 0].copy() for camera in cameras]).astype(float)
    # Just below the horizon all is grey, still, and without moire; at the feet are black and white.
    assert np.abs(rows[:, 27:29] - 127.5).max() <= 3
    assert rows[:, -8:].min() < 20 and rows[:, -8:].max() > 235


def test_round_things_have_no_seams():
    v, u = np.indices((64, 64)) * 2 * math.pi / 64
    smooth = np.stack([127 + 120 * np.sin(u), 127 + 120 * np.cos(v), 127 + 120 * np.sin(u + v)], -1).astype(np.uint8)
    scene = dressed([("sphere", (1, 0, 0), (0, 0, 0), UPRIGHT)], [smooth], scale=3.0)
    frames = raycast.load(scene).render(oracle.camera((-2.0, -2.0, 1.9, math.pi / 4, -0.6), 300, 300))
    inside = frames.ids[0] == 0
    grown = inside[1:-1, 1:-1] & inside[2:, 1:-1] & inside[1:-1, 2:] & inside[:-2, 1:-1] & inside[1:-1, :-2]
    step = np.abs(np.diff(frames.rgb[0].astype(int), axis=1)).max(-1)[1:-1, 1:]
    assert step[grown].max() < 40 and frames.rgb[0][inside].std(0).min() > 20


def test_a_picture_is_lit_shadowed_and_tinted_as_any_colour_is():
    solids = [("plane", (3, 3, 0), (0, 0, 0), UPRIGHT), ("sphere", (0.5, 0, 0), (0, 0, 1), UPRIGHT)]
    one = np.full((1, 1, 3), (200, 100, 50), np.uint8)
    tint = np.full((2, 2, 3), 0.5, np.float32)
    lights = oracle.scene_of([oracle.FLOOR], [((0.6, 0, 0.8), (0.7, 0.7, 0.7), True)])
    lit = {name: getattr(lights, name) for name in ("light_position", "light_colour", "light_is_sun", "ambient")}
    shown = dressed(solids, [one], colour=tint, **lit)
    plain = dataclasses.replace(
        shown, images=(), image=None, texture=np.zeros(2, np.int32), colour=shown.colour * np.float32(one[0, 0] / 255)
    )
    np.testing.assert_allclose(geometry.plain_colours(shown), geometry.plain_colours(plain), atol=1e-6)
    a, b = (
        raycast.load(s, shadows=True, supersample=2).render(oracle.camera()).rgb.astype(int) for s in (shown, plain)
    )
    assert np.abs(a - b).max() <= 1 and len(np.unique(a)) > 20


def test_new_pictures_take_the_place_of_old_ones():
    floor = [("plane", (3, 3, 0), (0, 0, 0), UPRIGHT)]
    batch = scenes.join([dressed(floor, [picture(5, 5, i)]) for i in range(3)])
    assert len(batch.images) == 3 and len(scenes.join([batch, batch]).images) == 3
    cameras = scenes.cameras_from_poses(np.tile([[0, 0, 2.0, 0, -HALF]], (3, 1)), 0.6, 20, 20)
    handle = raycast.load(batch)
    for turn in range(3, 12):
        new = dressed(floor, [picture(5 + turn, 5, turn)])
        batch = scenes.join([batch[:1], new, batch[2:]])
        handle.update(new, np.array([1]))
        np.testing.assert_array_equal(handle.render(cameras).rgb, raycast.load(batch).render(cameras).rgb)
    assert len(handle._images) == 3
    handle.update(oracle.scene_of([oracle.FLOOR], []), np.array([1]))
    assert (handle.render(cameras).rgb[1].reshape(-1, 3).std(0) == 0).all()


def test_scenes_with_pictures_and_fog_go_through_json_and_bad_ones_are_refused():
    scene = dressed([("plane", (3, 3, 0), (0, 0, 0), UPRIGHT)], [picture(5, 7)], fog=np.float32([[1, 4]]))
    again = scenes.Scenes.from_json(scene.to_json())
    assert again.to_json() == scene.to_json() and np.array_equal(again.images[0], scene.images[0])
    assert "fog" not in oracle.crowd(0).to_json() and "image" not in oracle.crowd(0).to_json()

    def refused(words, **fields):
        with pytest.raises(errors.CaveError, match=words) as caught:
            raycast.load(dataclasses.replace(scene, **fields))
        assert "\n" not in str(caught.value)

    refused("image must lie in 0..0", image=np.array([1]))
    refused("image must lie in 0..0", image=np.array([-1]))
    refused("be -1 for others", texture=np.array([1]))
    for bad in (np.zeros((5, 7), np.uint8), np.zeros((5, 7, 3), np.float32), np.zeros((0, 7, 3), np.uint8)):
        refused("image 0 is", images=(bad,))
    refused("image 0 is", images=(np.broadcast_to(np.uint8(0), (5000, 2, 3)),))
    for bad in ((-1, 2), (2, 2), (3, 2), (3, 0)):
        refused("fog must begin", fog=np.float32([bad]))
    refused("fog.*finite", fog=np.float32([[0, np.inf]]))


@pytest.mark.parametrize("ratio", [1, 3])
def test_fog_fades_colours_into_the_sky_evenly_with_depth(ratio):
    clear, cameras = oracle.crowd(3, texture="checker"), oracle.camera(height=40, width=40)
    begin, end = 2.5, 4.5
    foggy = dataclasses.replace(clear, fog=np.float32([[begin, end]]))
    before = raycast.load(clear, supersample=ratio).render(cameras)
    after = raycast.load(foggy, supersample=ratio).render(cameras)
    assert np.array_equal(before.depth, after.depth) and np.array_equal(before.ids, after.ids)
    share = np.clip((before.depth[0] - begin) / (end - begin), 0, 1)[..., None]
    wanted = before.rgb[0] * (1 - share) + share * clear.sky[0] * 255
    # Where a pixel covers one surface, which is not steep.
    around = np.stack([np.roll(np.minimum(before.depth[0], 99), d, a) for d in (-1, 0, 1) for a in (0, 1)])
    near = np.ptp(around, axis=0) < 0.3
    near = near if ratio > 1 else np.ones_like(near)
    assert near.mean() > 0.4 and np.abs(after.rgb[0] - wanted)[near].max() <= (1.01 if ratio == 1 else 8)
    assert (after.rgb[0] != before.rgb[0]).any()


def test_no_renderer_takes_a_scene_that_is_not_one():
    scene = oracle.crowd(1)
    for name in ("size", "position", "rotation", "colour", "texture_scale", "light_position", "sky", "fog"):
        for bad in (np.nan, np.inf):
            array = getattr(scene, name).copy()
            array.flat[-1] = bad
            for renderer in ("raycast", "mujoco", "pybullet"):
                with pytest.raises(errors.CaveError, match=f"{name} holds values that are not finite"):
                    renderers.load(renderer, dataclasses.replace(scene, **{name: array}))
