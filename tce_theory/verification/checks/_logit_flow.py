"""Gradient flow of TCE in the logits of one softmax, integrated as the differential inclusion that it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import integrate, special

__all__ = ["FlowEnd", "flow"]

_AT = 1e-8
"""Distance of log q from log γ at which a class counts as at the threshold."""
_BELOW, _ON, _ABOVE = range(3)
_MOST_PHASES = 50
_LONGEST = 1e6
_FIRST = 1e-6
"""First step of a phase: a class that has just left γ must not be found there again."""


class FlowEnd(NamedTuple):
    """Where the flow stopped."""

    probs: np.ndarray
    logits: np.ndarray
    """From log q_0 on; their sum is conserved."""
    time: float


def flow(start: np.ndarray, frequencies: np.ndarray, gamma: float) -> FlowEnd:
    """Follow z' ∈ −∂L_γ(z) from q_0 until every drawn class has at least γ.

    A drawn class below γ has weight 1 and one above it weight 0; one at γ stays there, with the weight that keeps it,
    if there is such a weight in [0, 1]. Between changes of these modes this is an ordinary differential equation.
    """
    flowing = _Flow(frequencies, gamma)
    logits, time, released = np.log(start), 0.0, dict[int, int]()
    for _ in range(_MOST_PHASES):
        level = special.log_softmax(logits) - math.log(gamma)
        if (level[flowing.drawn] >= -_AT).all():
            return FlowEnd(special.softmax(logits), logits, time)
        modes = flowing.modes(logits, level, released)
        events = _events(flowing, modes)
        phase = integrate.solve_ivp(
            lambda _, z, modes=modes: flowing.velocity(z, modes)[0], (0.0, _LONGEST), logits, method="DOP853",
            rtol=1e-10, atol=1e-12, first_step=_FIRST, events=events,
        )  # fmt: skip
        logits, time = phase.y[:, -1], time + phase.t[-1]
        happened = [event for event, times in zip(events, phase.t_events, strict=True) if times.size]
        released = {event.index: event.then for event in happened if event.then != _ON}
    raise RuntimeError("the flow did not end")


class _Flow:
    def __init__(self, frequencies: np.ndarray, gamma: float) -> None:
        self.frequencies, self.gamma = frequencies, gamma
        self.drawn = np.flatnonzero(frequencies > 0)

    def velocity(self, logits: np.ndarray, modes: dict[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return z', the weights and (log q)'."""
        q = special.softmax(logits)
        pull = np.where([modes.get(i) == _BELOW for i in range(q.size)], self.frequencies, 0.0)
        response = np.eye(q.size) - q[:, None] - q[None, :] + q @ q  # of (log q)' to the pulls
        held = [i for i, mode in modes.items() if mode == _ON]
        if held:
            pull[held] = np.linalg.lstsq(response[np.ix_(held, held)], -(response[held] @ pull), rcond=None)[0]
        weights = np.divide(pull, self.frequencies, out=np.zeros_like(pull), where=self.frequencies > 0)
        return pull - pull.sum() * q, weights, response @ pull

    def modes(self, logits: np.ndarray, level: np.ndarray, released: dict[int, int]) -> dict[int, int]:
        """Choose modes of the drawn classes that agree with the motion; those just released at γ have theirs."""
        known = {int(i): _BELOW if level[i] < 0 else _ABOVE for i in self.drawn if abs(level[i]) > _AT} | released
        free = [int(i) for i in self.drawn if int(i) not in known]
        for choice in itertools.product((_ON, _ABOVE, _BELOW), repeat=len(free)):
            modes = known | dict(zip(free, choice, strict=True))
            _, weights, speed = self.velocity(logits, modes)
            fine = {_ON: (weights >= 0) & (weights <= 1), _ABOVE: speed > 0, _BELOW: speed < 0}
            if all(fine[mode][i] for i, mode in zip(free, choice, strict=True)):
                return modes
        raise RuntimeError("no motion agrees with its weights")


class _Event:
    """Ends a phase where a function of the logits crosses 0 in the given direction; the class then has another mode."""

    terminal = True

    def __init__(self, function: Callable[[np.ndarray], float], direction: int, index: int, then: int) -> None:
        self.function, self.direction = function, direction
        self.index, self.then = index, then

    def __call__(self, _: float, logits: np.ndarray) -> float:
        return self.function(logits)


def _events(flowing: _Flow, modes: dict[int, int]) -> list[_Event]:
    """Class i reaches γ; or the weight that keeps it there leaves [0, 1]."""
    events = []
    for i, mode in modes.items():
        if mode == _ON:
            events.append(_Event(partial(_weight, flowing, modes, i), -1, i, _ABOVE))
            events.append(_Event(partial(_missing_weight, flowing, modes, i), -1, i, _BELOW))
        else:
            events.append(_Event(partial(_level, flowing, i), 1 if mode == _BELOW else -1, i, _ON))
    return events


def _level(flowing: _Flow, i: int, logits: np.ndarray) -> float:
    return float(special.log_softmax(logits)[i]) - math.log(flowing.gamma)


def _weight(flowing: _Flow, modes: dict[int, int], i: int, logits: np.ndarray) -> float:
    return float(flowing.velocity(logits, modes)[1][i])


def _missing_weight(flowing: _Flow, modes: dict[int, int], i: int, logits: np.ndarray) -> float:
    return 1 - _weight(flowing, modes, i, logits)
