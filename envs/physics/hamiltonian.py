"""Hamilton's equations of a few mechanical systems, with friction, for many worlds at once.

A state is (q, p): `d` generalised positions and as many momenta. With friction c,

    dq/dt = dH/dp        dp/dt = -dH/dq - c dH/dp        so        dH/dt = -c |dH/dp|^2

(Botev et al., 2021, their non-conservative variants). A world's parameters are one row of numbers: a constant (gravity,
or stiffness), the friction, the masses of its bodies and, of pendulums, the lengths of their rods.

Why no symplectic steps: the double pendulum's H does not separate and friction dissipates, so leapfrog and its kin fit half
of the systems, and bodies that nearly collide need steps of changing size, which void its promise. Extrapolation
(Gragg, 1965; Bulirsch and Stoer, 1966; Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations I", II.9) fits
all of them, up to order 16, and each world chooses its own steps: nobody's result depends on its company.

Of bodies the separations are moved along with the positions, and forces follow from them: where two pass one another closely,
the difference of their positions would have lost the digits on which the energy depends.
"""

import math

import numpy as np

from scenes.kit.compiler import kept, numba

SPRING, PENDULUM, DOUBLE, BODIES = range(4)
"""Systems: a mass on a spring; a pendulum; a pendulum on a pendulum; bodies in a plane that attract one another."""
TOLERANCE = 5e-14
"""Error of a step, relative to positions, momenta and separations."""
_COLUMNS = 8
# As in numpy, x / 0 is inf: a step that comes so near fails and is halved, rather than raising.
_LOOP = {"nogil": True, "error_model": "numpy"}
_SHORTEST, _MOST = 2.0**-40, 100_000
"""Least step, as a part of the time asked for, and most of them; bodies that need shorter ones, or more, meet at a point."""


@numba.njit(**_LOOP)
def _extend(system, n, state, y):
    """Write a state into the head of `y` and, of bodies, their separations behind it."""
    y[: len(state)] = state
    at = len(state)
    if system == BODIES:
        for i in range(n):
            for j in range(i):
                y[at], y[at + 1] = y[2 * i] - y[2 * j], y[2 * i + 1] - y[2 * j + 1]
                at += 2


@numba.njit(**_LOOP)
def _field(system, n, a, y, out):
    """Time derivatives `out` of one extended state `y` with `n` bodies and parameters `a`."""
    c, friction, d = a[0], a[1], 2 * n if system == BODIES else n
    if system == SPRING:
        out[0], out[1] = y[1] / a[2], -c * y[0]
    elif system == PENDULUM:
        m, length = a[2], a[3]
        out[0], out[1] = y[1] / (m * length * length), -m * c * length * math.sin(y[0])
    elif system == DOUBLE:
        m1, m2, l1, l2 = a[2], a[3], a[4], a[5]
        p1, p2, sin, cos = y[2], y[3], math.sin(y[0] - y[1]), math.cos(y[0] - y[1])
        whole, cross = m1 + m2, m2 * l1 * l2
        above = m2 * l2 * l2 * p1 * p1 + whole * l1 * l1 * p2 * p2 - 2 * cross * p1 * p2 * cos
        below = 2 * m2 * (l1 * l2) ** 2 * (m1 + m2 * sin * sin)
        twist = (2 * cross * p1 * p2 * sin - above * 2 * m2 * sin * cos / (m1 + m2 * sin * sin)) / below
        out[0] = 2 * (m2 * l2 * l2 * p1 - cross * p2 * cos) / below
        out[1] = 2 * (whole * l1 * l1 * p2 - cross * p1 * cos) / below
        out[2] = -twist - whole * c * l1 * math.sin(y[0])
        out[3] = twist - m2 * c * l2 * math.sin(y[1])
    else:
        for i in range(d):
            out[i], out[d + i] = y[d + i] / a[2 + i // 2], 0.0
        at = 2 * d
        for i in range(n):
            for j in range(i):
                square = y[at] * y[at] + y[at + 1] * y[at + 1]
                pull = c * a[2 + i] * a[2 + j] / (square * math.sqrt(square))
                for k in range(2):
                    out[d + 2 * i + k] -= pull * y[at + k]
                    out[d + 2 * j + k] += pull * y[at + k]
                    out[at + k] = out[2 * i + k] - out[2 * j + k]
                at += 2
    for i in range(d):
        out[d + i] -= friction * out[i]


@numba.njit(**_LOOP)
def _energy(system, n, a, y):
    """H of one state: kinetic and potential energy, the latter 0 at rest; of bodies, 0 far from one another."""
    c, d = a[0], len(y) // 2
    if system == SPRING:
        return y[1] * y[1] / (2 * a[2]) + c * y[0] * y[0] / 2
    if system == PENDULUM:
        m, length = a[2], a[3]
        return y[1] * y[1] / (2 * m * length * length) + m * c * length * (1 - math.cos(y[0]))
    if system == DOUBLE:
        m1, m2, l1, l2 = a[2], a[3], a[4], a[5]
        p1, p2, whole, turn = y[2], y[3], m1 + m2, y[0] - y[1]
        above = m2 * l2 * l2 * p1 * p1 + whole * l1 * l1 * p2 * p2 - 2 * m2 * l1 * l2 * p1 * p2 * math.cos(turn)
        below = 2 * m2 * (l1 * l2) ** 2 * (m1 + m2 * math.sin(turn) ** 2)
        return above / below + c * (whole * l1 * (1 - math.cos(y[0])) + m2 * l2 * (1 - math.cos(y[1])))
    total = 0.0
    for i in range(d):
        total += y[d + i] * y[d + i] / (2 * a[2 + i // 2])
    for i in range(n):
        for j in range(i):
            total -= c * a[2 + i] * a[2 + j] / math.hypot(y[2 * i] - y[2 * j], y[2 * i + 1] - y[2 * j + 1])
    return total


@numba.njit(**_LOOP)
def _tolerances(system, n, y, out):
    """Errors `out` that a step from the extended state `y` may make."""
    d = 2 * n if system == BODIES else n
    far, fast = 1.0, 1.0
    for i in range(d):
        far, fast = max(far, abs(y[i])), max(fast, abs(y[d + i]))
    out[:d], out[d : 2 * d] = TOLERANCE * far, TOLERANCE * fast
    for at in range(2 * d, len(y), 2):
        out[at : at + 2] = TOLERANCE * math.hypot(y[at], y[at + 1])


@numba.njit(**_LOOP)
def _attempt(system, n, a, y, h, first, work, table):
    """A step `h` from `y`, into `table[0]`; returns whether it is as good as asked for.

    `first` is the derivative at `y`; `work` has four rows, `table` `_COLUMNS`. The error of
    the modified midpoint rule has even powers of its step alone; each column takes away one more (Aitken and Neville).
    """
    width = len(y)
    before, now, slope, allowed = work[0], work[1], work[2], work[3]
    _tolerances(system, n, y, allowed)
    for k in range(_COLUMNS):
        parts = 2 * (k + 1)
        small = h / parts
        for i in range(width):
            before[i], now[i] = y[i], y[i] + small * first[i]
        for _ in range(parts - 1):
            _field(system, n, a, now, slope)
            for i in range(width):
                before[i], now[i] = now[i], before[i] + 2 * small * slope[i]
        _field(system, n, a, now, slope)
        good, finite = k > 0, True
        for i in range(width):
            value = (now[i] + before[i] + small * slope[i]) / 2
            # Row j of the table holds what k - j more columns made of the rule with 2 (j + 1) parts.
            for j in range(k - 1, -1, -1):
                ratio = (k + 1.0) / (j + 1.0)
                better = value + (value - table[j, i]) / (ratio * ratio - 1)
                table[j + 1, i], value = value, better
            if k > 0:
                good &= abs(value - table[1, i]) <= allowed[i]
            finite &= math.isfinite(value)
            table[0, i] = value
        if good or not finite:
            return good and finite
    return False


@kept(**_LOOP)
def advance(system, n, parameters, states, time):
    """Move states, in place, by `time` seconds.

    Args:
        system: One of this module's systems.
        n: Bodies of each world.
        parameters: Float64 b a, as the module says.
        states: Float64 b 2d.
        time: Seconds.

    Returns:
        Bool b: whether the state has moved; bodies that meet at a point have no future, and are left as they were.
    """
    b, own = states.shape
    width = own + (n * (n - 1) if system == BODIES else 0)
    fine = np.ones(b, np.bool_)
    work, table = np.empty((4, width)), np.empty((_COLUMNS, width))
    y, first = np.empty(width), np.empty(width)
    for row in range(b):
        a = parameters[row]
        _extend(system, n, states[row], y)
        left, h, taken = time, time, 0
        while left > 0 and fine[row]:
            _field(system, n, a, y, first)
            h = min(h, left)
            while fine[row] and not _attempt(system, n, a, y, h, first, work, table):
                h /= 2
                fine[row] = h > _SHORTEST * time
            y[:] = table[0]
            taken += 1
            fine[row] &= taken < _MOST
            left -= h
            h *= 2
        if fine[row]:
            states[row] = y[:own]
    return fine


@kept(**_LOOP)
def energies(system, n, parameters, states):
    """Energy of each state in joules, float64 b; arguments as for `advance`."""
    out = np.empty(len(states))
    for row in range(len(states)):
        out[row] = _energy(system, n, parameters[row], states[row])
    return out


@kept(**_LOOP)
def velocities(system, n, parameters, states):
    """Rates of the positions, dH/dp, float64 b d; arguments as for `advance`."""
    b, own = states.shape
    width = own + (n * (n - 1) if system == BODIES else 0)
    out, y, slope = np.empty((b, own // 2)), np.empty(width), np.empty(width)
    for row in range(b):
        _extend(system, n, states[row], y)
        _field(system, n, parameters[row], y, slope)
        out[row] = slope[: own // 2]
    return out
