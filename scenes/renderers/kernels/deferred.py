"""What is known of a picture once its depth and ids are: normals, and optical flow."""

import math

import numba
import numpy as np

from scenes.kit.compiler import kept
from scenes.renderers.kernels import chunks, frame, outlines
from scenes.renderers.kernels.surfaces import INF, LOOP


@numba.njit(**LOOP)
def _normals(normals, ids, far, s, geometry, blocks, height, width, kind, look, rotation, extent, forest):
    """Normals of one picture: each solid that a block of pixels shows is met once more."""
    stride = max(width, outlines.WIDE)
    far[:stride] = INF  # nothing is nearer
    for y in range(height):
        for left in range(0, width, outlines.WIDE):
            x = min(left, stride - outlines.WIDE)
            blocks[0, 0], blocks[1, 0], blocks[2, 0], blocks[3, 0] = x, y, x, x + outlines.WIDE
            for j in range(min(width - x, outlines.WIDE)):
                k, known = ids[y * stride + x + j], False
                for i in range(j):
                    known = known or ids[y * stride + x + i] == k
                if known:
                    continue
                if k >= 0:
                    frame.meet(kind[k], s, blocks, 0, 1, geometry[k], look[k], extent, far, 0, forest)
                    own = outlines.axes(rotation[k])
                for i in range(j, min(width - x, outlines.WIDE)):
                    if ids[y * stride + x + i] != k:
                        continue
                    to = normals[y, x + i]
                    if k < 0:
                        to[:] = 0
                    elif kind[k] == outlines.PLANE:
                        to[0], to[1], to[2] = own[2]
                    else:
                        at = np.uintp(i)
                        nx, ny, nz = float(s[chunks.NX + at]), float(s[chunks.NY + at]), float(s[chunks.NZ + at])
                        share = 1 / math.sqrt(nx * nx + ny * ny + nz * nz)
                        for axis in range(3):
                            to[axis] = share * (nx * own[0][axis] + ny * own[1][axis] + nz * own[2][axis])


@numba.njit(**LOOP)
def _flow(flow, depth, ids, height, width, before, after, poses, poses_after):
    """Optical flow of one picture, in float64. Cameras are (place, quaternion, step, whether orthographic)."""
    stride = max(width, outlines.WIDE)
    eye, turn, step, flat = before
    other_eye, other_turn, other_step, other_flat = after
    right, up, back = outlines.axes(turn)
    other = outlines.axes(other_turn)
    position, rotation = poses
    other_position, other_rotation = poses_after
    for y in range(height):
        for x in range(width):
            to, k = flow[y, x], ids[y * stride + x]
            if k < 0:
                to[:] = 0
                continue
            t, own, moved = float(depth[y * stride + x]), outlines.axes(rotation[k]), outlines.axes(other_rotation[k])
            across, upward = (x + 0.5 - width / 2) * step, (height / 2 - y - 0.5) * step
            spread = 1.0 if flat else t
            point = (
                eye[0] - position[k, 0] + spread * (across * right[0] + upward * up[0]) - t * back[0],
                eye[1] - position[k, 1] + spread * (across * right[1] + upward * up[1]) - t * back[1],
                eye[2] - position[k, 2] + spread * (across * right[2] + upward * up[2]) - t * back[2],
            )
            a, b, c = outlines.dot(own[0], point), outlines.dot(own[1], point), outlines.dot(own[2], point)
            point = (
                other_position[k, 0] - other_eye[0] + a * moved[0][0] + b * moved[1][0] + c * moved[2][0],
                other_position[k, 1] - other_eye[1] + a * moved[0][1] + b * moved[1][1] + c * moved[2][1],
                other_position[k, 2] - other_eye[2] + a * moved[0][2] + b * moved[1][2] + c * moved[2][2],
            )
            t = -outlines.dot(other[2], point)
            if t <= 0:
                to[:] = math.nan
                continue
            share = 1 / (other_step * (1.0 if other_flat else t))
            to[0] = outlines.dot(other[0], point) * share + width / 2 - (x + 0.5)
            to[1] = height / 2 - outlines.dot(other[1], point) * share - (y + 0.5)


def compiled(version: int):
    """The functions for normals and for flow of all cameras; for `version` see `frame.compiled`."""

    @kept(**LOOP)
    def normals(
        begin, end, made, ids, far, s, geometry, blocks,
        which, eye, camera, drawn, fov, extent, height, width,
        first, count, kind, look, pose_first, position, rotation, lights, forest,
    ):  # fmt: skip
        """Normals of cameras `begin` to before `end`; all from `far` to `blocks` are scratch."""
        step = frame.step_of(fov, extent, height)
        for i in range(begin, end):
            if not drawn[i]:
                continue
            a, b, n = first[which[i]], pose_first[which[i]], count[which[i]]
            view = outlines.axes(camera[i])
            for k in range(n):
                outlines.place(
                    geometry[k], position[b + k], rotation[b + k], eye[i], view, height, width, step, lights, extent
                )
            _normals(
                made[i], ids[i], far, s, geometry, blocks, height, width, kind[a : a + n], look[a : a + n],
                rotation[b : b + n], extent, forest,
            )  # fmt: skip
        return version

    @kept(**LOOP)
    def flow(
        begin, end, made, depth, ids, drawn, height, width, which, count,
        eye, camera, step, flat, pose_first, position, rotation,
        other_eye, other_camera, other_step, other_flat, other_first, other_position, other_rotation,
    ):  # fmt: skip
        """Flow of cameras `begin` to before `end` towards other places of cameras and solids."""
        for i in range(begin, end):
            if drawn[i]:
                n, b, c = count[which[i]], pose_first[which[i]], other_first[which[i]]
                _flow(
                    made[i], depth[i], ids[i], height, width,
                    (eye[i], camera[i], step, flat), (other_eye[i], other_camera[i], other_step, other_flat),
                    (position[b : b + n], rotation[b : b + n]),
                    (other_position[c : c + n], other_rotation[c : c + n]),
                )  # fmt: skip
        return version

    return normals, flow
