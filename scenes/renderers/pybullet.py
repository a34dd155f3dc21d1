"""PyBullet's own software renderer (TinyRenderer) behind the same contract: to compare with, in pictures and in speed.

It needs no OpenGL. Everything is drawn as triangles, round things with the facets of `geometry.meshes`; patterns and images
are of their mean colour. It knows one sun and grey light from everywhere, and a picture in perspective: other lights, fog
and orthographic cameras are refused; so are shadows, since its map of them is too coarse for a room: floors get stripes and
what stands on them casts none. The nearest centimetre before a camera and what lies further than a kilometre are not drawn.

PyBullet has wheels for Python 3.11 and older. It is imported by `load`.
"""

import math
import threading
import weakref
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

import scenes
from scenes import geometry, renderers
from scenes.geometry import meshes
from scenes.kit import errors

_NEAR, _FAR = 0.01, 1000.0
_MOST = 40_000
"""Faces of one of PyBullet's shapes: it takes 2^17 corners."""
_FLAT = {scenes.KINDS.index(name) for name in ("plane", "box")}
_MESH = scenes.KINDS.index("mesh")


def load(
    batch: scenes.Scenes,
    shadows: bool = False,
    supersample: int = 1,
    sensors: tuple[str, ...] = renderers.USUAL,
    capacity: int = 0,
) -> "Handle":
    """Make scenes ready to be drawn.

    Args:
        batch: At least one scene.
        shadows: Refused.
        supersample: Samples per pixel each way.
        sensors: Which of `renderers.USUAL` are wanted; the frames' other arrays may stay as they were.
        capacity: Of no use here: scenes are kept one by one.

    Raises:
        errors.CaveError: the scenes or the options cannot be drawn, or PyBullet is missing.
    """
    if supersample not in range(1, 9):
        raise errors.CaveError(f"pybullet: supersample is {supersample}, wanted 1 to 8", errors.USAGE)
    if shadows:
        raise errors.CaveError(
            "pybullet: TinyRenderer's shadows are not those of a room; 'raycast' draws them", errors.USAGE
        )
    renderers.check_sensors(sensors, renderers.USUAL)
    _check(batch)
    try:
        import pybullet
    except ImportError as error:
        raise errors.CaveError(
            f"the renderer 'pybullet' needs PyBullet ({error}): pip install pybullet, which has wheels for Python 3.11 and "
            "older; the renderer 'raycast' needs none"
        ) from None
    return Handle(pybullet, batch, supersample, sensors)


def _check(batch: scenes.Scenes) -> None:
    """Raise CaveError, in one line, for scenes that TinyRenderer cannot draw."""
    renderers.check_scenes(batch)
    lit = batch.light_colour.any(-1)
    faults = {
        "has more than one light": lit.sum(1) > 1,
        "has a lamp": (lit & ~batch.light_is_sun).any(1),
        "has light of a colour from everywhere": np.ptp(batch.ambient, 1) > 1e-3,
        "has fog": batch.fog.any(1),
    }
    for what, which in faults.items():
        if which.any():
            raise errors.CaveError(
                f"pybullet: scene {int(which.argmax())} {what}, and TinyRenderer knows one sun, grey light from everywhere and "
                "clear air; the renderer 'raycast' draws it"
            )


class Handle:
    """Scenes that are ready to be drawn, and the arrays they are drawn into. See `scenes.renderers`."""

    def __init__(self, pybullet: ModuleType, batch: scenes.Scenes, ratio: int, sensors: tuple[str, ...]):
        self._pybullet, self._ratio = pybullet, ratio
        self._wanted = ("rgb" in sensors, "depth" in sensors or "ids" in sensors)
        self._batches = [batch[i] for i in range(len(batch))]
        self._client = pybullet.connect(pybullet.DIRECT)
        if self._client < 0:
            raise errors.CaveError("pybullet: it takes no more clients: let go of other handles")
        weakref.finalize(self, _leave, pybullet, self._client).atexit = False
        self._shown, self._bodies = -1, np.zeros((0, 2), np.int64)
        self._frames: scenes.Frames | None = None
        self._lock = threading.Lock()

    def update(self, batch: scenes.Scenes, rows: Int[np.ndarray, " b"]) -> None:
        """Put other scenes in the places `rows` of the loaded batch; the rest stays.

        Raises:
            errors.CaveError: the scenes cannot be drawn, or do not fit the places.
        """
        _check(batch)
        rows = renderers.check_rows(batch, rows, len(self._batches))
        with self._lock:
            for i, row in enumerate(rows.tolist()):
                self._batches[row] = batch[i]
            self._shown = -1

    def render(
        self,
        cameras: scenes.Cameras,
        poses: tuple[np.ndarray, np.ndarray] | None = None,
        mask: np.ndarray | None = None,
        out: scenes.Frames | None = None,
        flow_to: None = None,
    ) -> scenes.Frames:
        """Draw what `b` cameras see; arguments and result are those of `scenes.renderers`.

        Raises:
            errors.CaveError: cameras, poses, mask or out do not fit, or hold values that are not finite; or a camera is
                orthographic.
        """
        renderers.check_cameras(cameras, len(self._batches))
        renderers.check_flow(flow_to, cameras, False, len(self._batches))
        if cameras.extent is not None:
            raise errors.CaveError("pybullet: TinyRenderer draws no orthographic pictures; the renderer 'raycast' does")
        b, size = len(cameras), (cameras.height, cameras.width)
        if max(size) * self._ratio > renderers.LARGEST:
            raise errors.CaveError(
                f"pybullet: {size[0]} x {size[1]} pixels, {self._ratio} samples each way, are too many"
            )
        offsets = np.concatenate([[0], np.cumsum([len(batch.kind) for batch in self._batches])])
        if poses is not None:
            poses = renderers.check_poses(poses, int(offsets[-1]))
        mask = renderers.check_mask(mask, b)
        with self._lock:
            if out is None:
                out = self._frames = renderers.frames(self._frames, b, *size)
            renderers.check_out(out, b, *size)
            axes = scenes.rotation_matrices(np.asarray(cameras.rotation, np.float64))
            rows, chosen = np.asarray(cameras.scene), np.flatnonzero(mask)
            for i in chosen[np.argsort(rows[chosen], kind="stable")].tolist():
                row = int(rows[i])
                batch, own = self._batches[row], slice(offsets[row], offsets[row + 1])
                self._show(row, *((batch.position, batch.rotation) if poses is None else (p[own] for p in poses)))
                view = np.eye(4)
                view[:3, :3], view[:3, 3] = axes[i].T, -axes[i].T @ cameras.position[i]
                if self._wanted[0]:
                    out.rgb[i] = self._colours(batch, view, cameras)
                if self._wanted[1]:
                    out.depth[i], out.ids[i] = self._shot(batch, view, cameras, 1)[1:]
            return out

    def _show(self, row: int, position: np.ndarray, rotation: np.ndarray) -> None:
        """Put the solids of scene `row` where they are now."""
        bullet, client = self._pybullet, self._client
        if row != self._shown:
            bullet.resetSimulation(physicsClientId=client)
            batch, made = self._batches[row], []
            colours = np.append(geometry.plain_colours(batch), np.ones((len(batch.kind), 1)), 1)
            for k in range(len(batch.kind)):
                for corners, normals in _pieces(*_triangles(batch, k)):
                    shape = bullet.createVisualShape(
                        bullet.GEOM_MESH, vertices=corners.tolist(), normals=normals.tolist(),
                        indices=list(range(len(corners))), rgbaColor=colours[k].tolist(), physicsClientId=client,
                    )  # fmt: skip
                    made.append((bullet.createMultiBody(0, -1, shape, physicsClientId=client), k))
            self._bodies, self._shown = np.array(made, np.int64).reshape(-1, 2), row
        places, turns = position.tolist(), rotation[:, [1, 2, 3, 0]].tolist()
        for body, k in self._bodies.tolist():
            bullet.resetBasePositionAndOrientation(body, places[k], turns[k], client)

    def _colours(self, batch: scenes.Scenes, view: np.ndarray, cameras: scenes.Cameras) -> np.ndarray:
        h, w, ratio = cameras.height, cameras.width, self._ratio
        rgb, _, ids = self._shot(batch, view, cameras, ratio)
        rgb = np.where((ids < 0)[..., None], np.round(np.clip(batch.sky[0], 0, 1) * 255), rgb)
        return np.round(rgb.reshape(h, ratio, w, ratio, 3).mean((1, 3)))

    def _shot(self, batch: scenes.Scenes, view: np.ndarray, cameras: scenes.Cameras, ratio: int) -> tuple[Any, ...]:
        """Colours, depth and ids as one camera sees them, with `ratio` pixels for one each way."""
        h, w = cameras.height * ratio, cameras.width * ratio
        up = 1 / math.tan(cameras.fov / 2)
        lens = np.zeros((4, 4))
        lens[0, 0], lens[1, 1], lens[3, 2] = up * h / w, up, -1
        # TinyRenderer looks through the left lower corners of pixels: we want their middles.
        lens[0, 2], lens[1, 2] = 1 / w, 1 / h
        lens[2, 2], lens[2, 3] = -(_FAR + _NEAR) / (_FAR - _NEAR), -2 * _FAR * _NEAR / (_FAR - _NEAR)
        sun, glow = _sun(batch)
        bright = float(glow.max()) or 1.0
        _, _, rgba, buffer, seen = self._pybullet.getCameraImage(
            w, h, view.T.ravel().tolist(), lens.T.ravel().tolist(), lightDirection=sun.tolist(),
            lightColor=(glow / bright).tolist(), lightAmbientCoeff=float(batch.ambient[0].mean()), lightDiffuseCoeff=bright,
            lightSpecularCoeff=0, shadow=0, renderer=self._pybullet.ER_TINY_RENDERER, physicsClientId=self._client,
        )  # fmt: skip
        # Builds of PyBullet without NumPy give tuples.
        rgb = np.asarray(rgba, np.uint8).reshape(h, w, 4)[..., :3]
        buffer, seen = np.asarray(buffer, np.float64).reshape(h, w), np.asarray(seen, np.int64).reshape(h, w)
        solid = np.full(int(self._bodies[:, 0].max(initial=-1)) + 2, -1, np.int32)
        solid[self._bodies[:, 0]] = self._bodies[:, 1]
        ids = solid[seen]
        depth = np.where(ids < 0, np.inf, _FAR * _NEAR / (_FAR - (_FAR - _NEAR) * buffer))
        return rgb, depth.astype(np.float32), ids


def _leave(pybullet: ModuleType, client: int) -> None:
    if pybullet.isConnected(client):
        pybullet.disconnect(client)


def _sun(batch: scenes.Scenes) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Direction towards the sun of one scene, and its colour; black where there is none."""
    for place, colour in zip(batch.light_position[0], batch.light_colour[0]):
        if colour.any():
            return place.astype(np.float64), colour.astype(np.float64)
    return np.array([0.0, 0.0, 1.0]), np.zeros(3)


def _triangles(batch: scenes.Scenes, k: int) -> tuple[Float32[np.ndarray, "f 3 3"], Float32[np.ndarray, "f 3 3"]]:
    """Corners of the faces of solid `k`, in its axes, and normals there."""
    corners, faces = meshes.of(batch, k)
    if batch.kind[k] != _MESH:
        # What is round shades as if it were; edges of less than 60 degrees are none.
        crease = 1.0 if batch.kind[k] in _FLAT else 0.5
        return corners[faces], meshes.smooth(corners, faces, crease).normals
    normals = batch.meshes[batch.mesh[k]].normals
    if normals is None:
        return corners[faces], meshes.smooth(corners, faces, 1.0).normals
    return corners[faces], meshes.creased(corners, faces, normals / batch.size[k], -math.inf)


def _pieces(corners: np.ndarray, normals: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same as lists of corners and normals, three a face, that PyBullet takes."""
    cuts = [slice(begin, begin + _MOST) for begin in range(0, len(corners), _MOST)]
    return [(corners[cut].reshape(-1, 3), normals[cut].reshape(-1, 3)) for cut in cuts]
