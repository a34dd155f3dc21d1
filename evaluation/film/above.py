"""A room seen from above, with the agent drawn as an arrow: the same ray caster, a camera high up."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float32, UInt8

import scenes
from scenes.kit import plugins

_FOV = math.radians(20)  # a long lens from far above: nearly a plan, hardly any perspective
_AGENT = np.array([1.0, 1.0, 1.0], np.float32)


def pictures(
    rooms: scenes.Scenes, poses: Float32[np.ndarray, "b 5"], extent: float, side: int = 320
) -> UInt8[np.ndarray, "b side side 3"]:
    """One picture from above a scene. Walls are one-sided and so do not stand in the way.

    Args:
        rooms: As many scenes as poses.
        poses: Of the agent: x, y, z, yaw, pitch. It is drawn as a white cone that points where it looks.
        extent: Side in metres of the square about the z axis that the picture shows, with a small rim around it.
        side: Of the pictures, in pixels.

    Returns:
        Up in the picture is +y, right is +x.
    """
    peopled = _with_agents(rooms, np.asarray(poses, np.float32))
    height = (0.53 * extent + 0.1) / math.tan(_FOV / 2)
    camera = np.tile(np.array([0, 0, height, math.pi / 2, -math.pi / 2], np.float32), (len(rooms), 1))
    handle = plugins.load("scenes.renderers", "raycast", "renderer").load(peopled, supersample=2)
    frames = handle.render(scenes.cameras_from_poses(camera, _FOV, side, side))
    return np.array(frames.rgb)


def _with_agents(rooms: scenes.Scenes, poses: np.ndarray) -> scenes.Scenes:
    """The same scenes with one more solid each, at the end: a cone lying along the agent's gaze."""
    ends = rooms.offsets[1:]
    b = len(rooms)
    yaw = poses[:, 3].astype(np.float64)
    # A cone's tip is at +z of its own: a quarter turn about y lays it along x, then yaw about z turns it.
    half = np.float64(math.sqrt(0.5))
    c, s = np.cos(yaw / 2), np.sin(yaw / 2)
    rotation = np.stack([c * half, -s * half, c * half, s * half], -1)
    position = np.stack([poses[:, 0], poses[:, 1], np.maximum(poses[:, 2], 0.3)], -1)
    agents = dataclasses.replace(
        rooms,
        kind=np.full(b, scenes.KINDS.index("cone")),
        size=np.tile(np.array([0.27, 0.42, 0], np.float32), (b, 1)),
        position=position.astype(np.float32),
        rotation=rotation.astype(np.float32),
        texture=np.zeros(b, np.int64),
        texture_scale=np.ones(b, np.float32),
        colour=np.broadcast_to(_AGENT, (b, 2, 3)),
        mesh=None,
        image=None,
    )
    fields = {}
    for name in scenes.SOLID_FIELDS:
        old = getattr(rooms, name)
        fields[name] = np.insert(old, ends, getattr(agents, name).astype(old.dtype), axis=0)
    offsets = rooms.offsets + np.arange(b + 1, dtype=rooms.offsets.dtype)
    return dataclasses.replace(rooms, offsets=offsets, **fields)
