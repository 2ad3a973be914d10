"""Checks of the theorems on the last layer of a network, on networks that are written out here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from tce_theory.losses import TCE
from tce_theory.theory import loss as theory
from tce_theory.verification.checks import check
from tce_theory.verification.checks._losses import (
    FIVE,
    Examples,
    at_labels,
    between,
    columns,
    derivatives,
    entropy_of,
    random_examples,
)
from tce_theory.verification.study import Study

# -------------------------------------------------------------------------------------------------- head-identity


def _network(rng: np.random.Generator, n: int = 40) -> tuple[Examples, np.ndarray, float]:
    """Draw a network of one hidden layer as the examples of its head, the head's parameters, and a threshold."""
    hidden = np.tanh(rng.normal(size=(n, 4)) @ rng.normal(size=(4, 3)))
    examples = Examples(np.append(hidden, np.ones((n, 1)), axis=1), rng.integers(4, size=n), 4)
    parameters = 1.5 * rng.normal(size=(4, 4))
    return examples, parameters, between(np.exp(-examples.cross_entropies(parameters)), trim=n // 4)[0]


def _chosen(examples: Examples, kept: np.ndarray) -> Examples:
    return examples._replace(features=examples.features[kept], labels=examples.labels[kept])


@check("head-identity")
def head_identity(study: Study) -> None:
    """Compare CE_S − H_S of random networks with the product of their heads and its gradient."""
    rng, rows = study.generator(), []
    for _ in range(study.size(60, 1200)):
        examples, parameters, gamma = _network(rng)
        kept = _chosen(examples, np.exp(-examples.cross_entropies(parameters)) <= gamma)
        slope = derivatives(lambda w, kept=kept: kept.cross_entropies(w).mean(), parameters, 5e-4)
        loss = kept.cross_entropies(parameters).mean()
        entropy = entropy_of(np.exp(kept.log_probs(parameters))).mean()
        predicted = theory.head_excess(parameters.ravel(), slope.ravel())
        rows.append((loss - entropy, predicted, predicted - 0.05 * entropy, loss + entropy))
    found, predicted, wrong, scale = columns(rows)
    study.instances(
        "CE_S − H_S = ⟨θ_h, ∇L_S⟩", found, predicted, wrong, change="H_S 5 % larger", scale=scale, tolerance=1e-8,
        setting="random networks, 40 targets, S the unmasked: finite differences in the head",
    )  # fmt: skip


@check("head-identity")
def tied_heads(study: Study) -> None:
    """Show that it fails for a head that is tied to the embedding, and for a part of the head."""
    rng = study.generator()
    weights, tokens, labels = rng.normal(size=(5, 3)), rng.integers(5, size=30), rng.integers(5, size=30)

    def gap(features: Callable[[np.ndarray], np.ndarray], bias: np.ndarray, parts: slice) -> float:
        """|CE − H − ⟨θ, ∇L⟩| for features that may depend on the weights, θ the chosen part of (W, b)."""

        def model(theta: np.ndarray) -> Examples:
            return Examples(np.append(features(theta[:, :-1]), np.ones((30, 1)), axis=1), labels, 5)

        theta = np.append(weights, bias[:, None], axis=1)
        at = model(theta)
        slope = derivatives(lambda w: model(w).cross_entropies(w).mean(), theta, 5e-4).reshape(theta.shape)
        excess = at.cross_entropies(theta).mean() - entropy_of(np.exp(at.log_probs(theta))).mean()
        return abs(float(excess) - theory.head_excess(theta[:, parts].ravel(), slope[:, parts].ravel()))

    start, none, bias = weights.copy(), np.zeros(5), rng.normal(size=5)
    free = gap(lambda w: np.tanh(start[tokens]), none, slice(None))
    tied = gap(lambda w: np.tanh(w[tokens]), none, slice(None))
    partial = gap(lambda w: np.tanh(start[tokens]), bias, slice(0, -1))
    study.counterexample(
        "1e-6 − |CE_S − H_S − ⟨θ_h, ∇L_S⟩|", 1e-6 - tied, 1e-6 - free, hypothesis="features that do not depend on θ_h",
        setting="features tanh(W[token]): the head tied to the embedding, and the same numbers untied",
    )  # fmt: skip
    study.counterexample(
        "1e-6 − |CE_S − H_S − ⟨θ_h, ∇L_S⟩|", 1e-6 - partial, 1e-6 - free, hypothesis="all of θ_h = (W, b)",
        setting="the untied network with a bias, θ_h the weights alone",
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------- head-certificate


class _Aligned(NamedTuple):
    """One target of two classes whose head is parallel to its gradient, with p = γ: all bounds are equalities."""

    examples: Examples
    parameters: np.ndarray
    slope: np.ndarray
    loss: float
    entropy: float


def _aligned(rng: np.random.Generator, gamma: float) -> _Aligned:
    features = np.append(rng.normal(size=3), 1.0)
    examples = Examples(features[None], np.zeros(1, np.int64), 2)
    size = special.logit(gamma) / (2 * features @ features)
    parameters = size * np.array([[1.0], [-1.0]]) * features
    loss = float(examples.cross_entropies(parameters)[0])
    entropy = float(entropy_of(np.exp(examples.log_probs(parameters)))[0])
    return _Aligned(examples, parameters, examples.slopes(parameters).reshape(2, -1), loss, entropy)


@check("head-certificate")
def certificate(study: Study) -> None:
    """Hold the bound and the floor that follows from it on random and on aligned networks."""
    rng, slacks, wrongs = study.generator(), [], []
    for i in range(study.size(200, 4000)):
        if i % 2:
            examples, parameters, gamma = _network(rng)
            kept = _chosen(examples, np.exp(-examples.cross_entropies(parameters)) <= gamma)
            loss, slope = kept.cross_entropies(parameters).mean(), kept.slopes(parameters).mean(axis=0)
            entropy = entropy_of(np.exp(kept.log_probs(parameters))).mean()
        else:
            gamma = rng.uniform(0.02, 0.45)
            _, parameters, slope, loss, entropy = _aligned(rng, gamma)
        bound = float(theory.head_certificate(np.linalg.norm(parameters), np.linalg.norm(slope)))
        slack, wrong = ([c * bound - abs(entropy - loss), entropy + math.log(gamma) + c * bound] for c in (1, 1 / FIVE))
        slacks.append(slack)
        wrongs.append(wrong)
    study.everywhere(
        "|H_S − CE_S| ≤ ‖θ_h‖ ‖∇L_S‖; H_S ≥ −log γ − ‖θ_h‖ ‖∇L_S‖", np.array(slacks), np.array(wrongs),
        change="bound 5 % smaller", setting="random networks; half have one target at p = γ, θ_h parallel to ∇L_S",
    )  # fmt: skip


class _Decayed(NamedTuple):
    """A stationary head with penalty: mean entropy less mean cross entropy, and what the theorem needs."""

    excess: float
    norm: float
    n: int
    weight: int
    decay: float
    floor_slack: float


def _decayed(rng: np.random.Generator, decay_bias: bool) -> _Decayed:
    """Fit 25 targets under the penalty, then add 8 that are masked under a threshold above all p_i."""
    kept, n, decay = random_examples(rng, 25), 33, 10.0 ** rng.uniform(-2.5, -1)
    penalty = decay * np.append(np.ones((4, 3)), np.full((4, 1), float(decay_bias)), axis=1)

    def smooth(x: np.ndarray) -> tuple[float, np.ndarray]:
        w = x.reshape(4, 4)
        value = kept.cross_entropies(w).sum() / n + 0.5 * (penalty * w**2).sum()
        return value, kept.slopes(w).sum(axis=0) / n + (penalty * w).ravel()

    found = optimize.minimize(smooth, np.zeros(16), jac=True, method="BFGS", options={"gtol": 1e-10})
    parameters = found.x.reshape(4, 4)
    gamma = (1 + np.exp(-kept.cross_entropies(parameters)).max()) / 2
    extra: list[tuple[np.ndarray, int]] = []
    while len(extra) < n - 25:
        features = np.append(20 * rng.normal(size=3) / decay**0.5, 1.0)
        probs = special.softmax(parameters @ features)
        if probs.max() > gamma + 0.1 * (1 - gamma):
            extra.append((features, int(probs.argmax())))
    examples = Examples(
        np.append(kept.features, [row for row, _ in extra], axis=0),
        np.append(kept.labels, [label for _, label in extra]), 4,
    )  # fmt: skip
    full = derivatives(
        lambda w: theory.hinge_objective(examples.cross_entropies(w), gamma) + 0.5 * (penalty * w**2).sum(),
        parameters, 1e-6,
    )  # fmt: skip
    if np.abs(full).max() > 1e-7:
        raise RuntimeError("the head is not stationary")
    excess = float((entropy_of(np.exp(kept.log_probs(parameters))) - kept.cross_entropies(parameters)).mean())
    entropy = float(entropy_of(np.exp(kept.log_probs(parameters))).mean())
    norm = math.sqrt((penalty * parameters**2).sum() / decay)
    raised = float(theory.decay_excess(decay, norm, n, 25))
    return _Decayed(excess, norm, n, 25, decay, entropy + math.log(gamma) - raised)


@check("head-certificate")
def penalty(study: Study) -> None:
    """Compare the entropy of heads trained with a penalty with λ‖W‖² n/N, and hold the floor that it raises."""
    rng, slacks, wrongs = study.generator(), [], []
    for decay_bias, norm in ((False, "‖W‖"), (True, "‖θ_h‖")):
        heads = [_decayed(rng, decay_bias) for _ in range(study.size(15, 300))]
        rows = [
            (at.excess, *(theory.decay_excess(c * at.decay, at.norm, at.n, at.weight) for c in (1, FIVE)))
            for at in heads
        ]
        found, predicted, wrong = columns((np.array(f), np.array(p), np.array(w)) for f, p, w in rows)
        study.instances(
            f"H̄ − mean CE = λ {norm}² n/N", found, predicted, wrong, change="λ 5 % larger", tolerance=1e-6,
            setting="linear softmax at a minimum, 25 unmasked and 8 masked targets, random λ",
        )  # fmt: skip
        slacks += [at.floor_slack for at in heads]
        wrongs += [at.floor_slack for at in heads]
    for gamma in rng.uniform(0.55, 0.95, study.size(60, 600)):
        # logits ±a, one target, on the threshold with the weight λ a/(1 − γ)
        a = special.logit(gamma) / 2
        decay = rng.uniform(0, (1 - gamma) / a)
        slack, wrong = (
            special.entr(gamma) + special.entr(1 - gamma) + math.log(gamma)
            - float(theory.decay_excess(c * decay, math.sqrt(2) * a, 1, decay * a / (1 - gamma)))
            for c in (1, FIVE)
        )  # fmt: skip
        slacks.append(slack)
        wrongs.append(wrong)
    study.everywhere(
        "H̄ ≥ −log γ + λ ‖W‖² n/N", np.array(slacks), np.array(wrongs), change="λ 5 % larger",
        setting="the same heads, and one target held on the threshold by the penalty",
    )  # fmt: skip


@check("head-certificate")
def decoupled_decay(study: Study) -> None:
    """Train with AdamW to rest: the entropy exceeds cross entropy, but not by λ‖θ‖²."""
    rng = study.generator()
    decay = np.append(1.0, rng.uniform(0.7, 1.6, 29))
    theta, first, second = np.tile([1.2, -0.7], (30, 1)), np.zeros((30, 2)), np.zeros((30, 2))
    target = np.array([1.0, 0.0])
    for _ in range(4000):  # one target of the first class, one feature 1, no bias; rate .01, moments .9
        slope = special.softmax(theta, axis=1) - target
        first, second = 0.9 * first + 0.1 * slope, 0.9 * second + 0.1 * slope**2
        theta = theta - 0.01 * (first / (np.sqrt(second) + 1e-12) + decay[:, None] * theta)
    probs = special.softmax(theta, axis=1)
    excess = entropy_of(probs) + np.log(probs[:, 0])
    predicted = (np.abs(theta) * np.abs(probs - target)).sum(axis=1)
    study.instances(
        "H̄ − mean CE = Σ |θ| |G| n/N", excess, predicted, FIVE * predicted, change="5 % larger", tolerance=1e-8,
        setting="AdamW at rest: two logits, one unmasked target, random λ, full batch",
    )  # fmt: skip
    if not np.allclose(probs[0, 0], special.expit(2.0), rtol=1e-6) or probs[0, 0] > 0.9:
        raise RuntimeError("AdamW is not at rest at ±1")
    # the same target and λ with the penalty in the objective: a = (1 − p(a))/λ
    a = float(optimize.brentq(lambda a: a - special.expit(-2 * a), 0, 2, xtol=1e-15))
    prob = special.expit(2 * a)
    penalised = special.entr(prob) + special.entr(1 - prob) + math.log(prob)
    study.counterexample(
        "1e-6 − |H̄ − mean CE − λ ‖θ‖² n/N|",
        1e-6 - abs(excess[0] - theory.decay_excess(1.0, np.linalg.norm(theta[0]), 1, 1)),
        1e-6 - abs(penalised - theory.decay_excess(1.0, math.sqrt(2) * a, 1, 1)),
        hypothesis="decay as a penalty in the objective", setting="λ = 1, γ = .9: AdamW at rest at logits ±1",
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------- floor-on-average


class _Training(NamedTuple):
    """Records of gradient descent, (T, replicates), and norms of the head, (replicates,)."""

    share: np.ndarray
    excess: np.ndarray
    """κ (CE_S − H_S)."""
    level: np.ndarray
    """κ (H_S + log γ)."""
    squares: np.ndarray
    initial: np.ndarray
    final: np.ndarray
    radius2: np.ndarray
    """Largest ‖h‖² + 1."""
    step: np.ndarray

    @property
    def identity_gap(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Both sides of the identity, and what 5 % more of the squared gradients would give."""
        mean, steps = self.squares.mean(axis=0), len(self.squares)
        exact, wrong = (
            np.asarray(theory.average_entropy_excess(self.initial, self.final, self.step, steps, c * mean))
            for c in (1, FIVE)
        )
        return self.excess.mean(axis=0), exact, wrong


def _train(rng: np.random.Generator, replicates: int, steps: int, momentum: float = 0.0) -> _Training:
    """Train head and body of networks with one hidden layer; the body is also kicked at random."""
    inputs, labels = rng.normal(size=(replicates, 20, 3)), rng.integers(4, size=(replicates, 20))
    head, body = 2 * rng.normal(size=(replicates, 4, 4)), rng.normal(size=(replicates, 3, 3))
    gamma, step = rng.uniform(0.2, 0.8, (replicates, 1)), rng.uniform(0.1, 1.0, replicates)
    target, records = np.eye(4)[labels], []
    velocity, radius2 = np.zeros_like(head), np.zeros(replicates)
    initial = np.linalg.norm(head.reshape(replicates, -1), axis=1)
    for _ in range(steps):
        hidden = np.tanh(inputs @ np.swapaxes(body, 1, 2))
        features = np.append(hidden, np.ones((replicates, 20, 1)), axis=2)
        logs = special.log_softmax(features @ np.swapaxes(head, 1, 2), axis=2)
        losses, entropies = -at_labels(logs, labels), entropy_of(np.exp(logs))
        kept = losses >= -np.log(gamma)
        residuals = kept[..., None] * (np.exp(logs) - target) / 20
        slope = np.swapaxes(residuals, 1, 2) @ features
        records.append((
            kept.mean(axis=1), (kept * (losses - entropies)).mean(axis=1),
            (kept * (entropies + np.log(gamma))).mean(axis=1), (slope**2).sum(axis=(1, 2)),
        ))  # fmt: skip
        radius2 = np.maximum(radius2, (features**2).sum(axis=2).max(axis=1))
        back = (residuals @ head[:, :, :-1]) * (1 - hidden**2)
        body = body - step[:, None, None] * (np.swapaxes(back, 1, 2) @ inputs) + 0.01 * rng.normal(size=body.shape)
        velocity = momentum * velocity + slope
        head = head - step[:, None, None] * velocity
    share, excess, level, squares = (np.array(column) for column in zip(*records, strict=True))
    final = np.linalg.norm(head.reshape(replicates, -1), axis=1)
    return _Training(share, excess, level, squares, initial, final, radius2, step)


@check("floor-on-average")
def average_identity(study: Study) -> None:
    """Compare the time average of CE_S − H_S with the norms of the head."""
    rng, gaps = study.generator(), []
    for steps in (1, 10, 200):
        found, predicted, wrong = _train(rng, study.size(30, 600), steps).identity_gap
        gaps.append((found, predicted, wrong, 1 + np.abs(found)))
    found, predicted, wrong, scale = columns(gaps)
    study.instances(
        "A = (‖θ_0‖² − ‖θ_T‖²)/(2ηT) + η/2 mean ‖g_t‖²", found, predicted, wrong, scale=scale,
        change="‖g_t‖² 5 % larger", setting="gradient descent on networks of one hidden layer, T = 1, 10, 200",
    )  # fmt: skip
    plain, heavy = (np.abs(np.subtract(*_train(rng, 10, 50, momentum).identity_gap[:2])) for momentum in (0.0, 0.9))
    study.counterexample(
        "1e-6 − |A − …|", 1e-6 - heavy, 1e-6 - plain, hypothesis="plain gradient descent",
        setting="momentum .9, T = 50",
    )  # fmt: skip


@check("floor-on-average")
def average_floor(study: Study) -> None:
    """Hold the floor on the average of training, for bounded features too."""
    rng, size = study.generator(), study.size(100, 2000)
    slacks, wrongs = [], []
    for steps in (5, 150):
        run = _train(rng, size, steps)
        kept = run.share.mean(axis=0) > 0
        share = run.share.mean(axis=0)[kept]
        found = run.level.mean(axis=0)[kept] / share
        mean, start, step = run.squares.mean(axis=0)[kept], run.initial[kept], run.step[kept]
        bound = np.asarray(theory.average_entropy_floor(start, step, steps, mean, share))
        radius2 = run.radius2[kept]
        bounded = -(start**2) / (2 * step * steps * share) - step * radius2
        gradients = (2 * run.share**2 * run.radius2 - run.squares).min(axis=0)[kept]
        slacks.append(np.stack([found - bound, found - bounded, gradients], axis=1))
        wrongs.append(slacks[-1])
    rows, wrong_rows = [], []
    for gamma in 10.0 ** rng.uniform(-6, -2, size):
        # one step that ends at θ = 0, from a head parallel to its gradient, p = γ: equality
        at = _aligned(rng, gamma)
        norm, speed = float(np.linalg.norm(at.parameters)), float(np.linalg.norm(at.slope))
        eta, reach = norm / speed, float((at.examples.features**2).sum())
        level = at.entropy + math.log(gamma)
        exact = float(theory.average_entropy_floor(norm, eta, 1, speed**2, 1.0))
        loose = [-(norm**2) / (2 * eta) - c * eta * reach for c in (1, 1 / FIVE)]
        rows.append([level - exact, level - loose[0], 2 * reach - speed**2])
        wrong_rows.append([level - exact / FIVE, level - loose[1], 2 / FIVE * reach - speed**2])
    slacks.append(np.array(rows))
    wrongs.append(np.array(wrong_rows))
    claims = (
        "B ≥ −(‖θ_0‖²/(2ηT) + η/2 mean ‖g_t‖²)/κ̄", "B ≥ −‖θ_0‖²/(2ηTκ̄) − η (R² + 1)", "‖g_t‖² ≤ 2 κ_t² (R² + 1)",
    )  # fmt: skip
    slack, wrong = np.concatenate(slacks), np.concatenate(wrongs)
    for i, claim in enumerate(claims):
        study.everywhere(
            claim, slack[:, i], wrong[:, i], change="bound 5 % smaller" if i != 1 else "η (R² + 1) 5 % smaller",
            setting="networks of one hidden layer, T = 5, 150; and one step to θ = 0 from a single target at p = γ",
        )  # fmt: skip
    # all masked: nothing moves
    probs = np.array([0.99, 0.01])
    still = TCE(0.9).gradient(np.log(probs), 0)
    study.counterexample(
        "mean over time of H + log γ", entropy_of(probs) + math.log(0.9) + np.abs(still).max(), slack[:, 0].min(),
        hypothesis="weights κ_t", setting="a single target, q = (.99, .01), γ = .9: masked at all times",
    )  # fmt: skip
