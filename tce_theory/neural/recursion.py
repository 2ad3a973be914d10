"""The recursion of language models: corpora of windows, in blocks that are real or that a network has written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tce_theory.decoding import Decoding
from tce_theory.losses import Loss
from tce_theory.models.base import Block, Control, Recursion
from tce_theory.neural._blas import one_blas_thread
from tce_theory.neural.checkpoints import generation_file
from tce_theory.neural.generation import generate
from tce_theory.neural.metrics import average_metrics, capped_record, distinct, head_metrics, unigram_divergence
from tce_theory.neural.training import MOST_NATS, HeadRecord, Trained, head_record, train, trained_loss
from tce_theory.regimes import FORGET, KEEP, Regime, Staged

if TYPE_CHECKING:
    from tce_theory.neural.language_model import NeuralLanguageModel

__all__ = ["Corpus", "LanguageRecursion", "continued", "real_text"]

_LOST = -1e300  # a logit of which e to its power is 0 at any temperature, in place of −inf


@dataclass(frozen=True, eq=False)
class Corpus:
    """Windows, block after block.

    Parameters
    ----------
    windows : int64 array (n, k + 1)
        Context and target.
    blocks : int64 array (n,)
        Block of each window, increasing.
    written : boolean array (n,)
        Whether a network wrote it.
    """

    windows: np.ndarray
    blocks: np.ndarray
    written: np.ndarray

    @property
    def prompts(self) -> np.ndarray:
        """Context of the first target of each block, int64 (blocks, k)."""
        first = np.flatnonzero(np.diff(self.blocks, prepend=-1))
        return self.windows[first, :-1]

    @property
    def onward(self) -> np.ndarray:
        """What a continuation of the corpus is prompted by: the end of the block before, cyclically; (blocks, k)."""
        last = np.flatnonzero(np.diff(self.blocks, append=self.blocks[-1] + 1))
        return np.roll(self.windows[last, 1:], 1, axis=0)

    @property
    def own(self) -> np.ndarray:
        """The windows that a network wrote, or all of them where none did; boolean (n,)."""
        return self.written if self.written.any() else np.ones(self.written.size, bool)

    def take(self, rows: np.ndarray) -> Corpus:
        return Corpus(self.windows[rows], self.blocks[rows], self.written[rows])


def joined(parts: Sequence[Corpus]) -> Corpus:
    """Put corpora one after the other."""
    blocks, first = [], 0
    for part in parts:
        blocks.append(part.blocks + first)
        first += int(part.blocks[-1]) + 1
    return Corpus(
        np.concatenate([part.windows for part in parts]),
        np.concatenate(blocks),
        np.concatenate([part.written for part in parts]),
    )


def real_text(
    model: NeuralLanguageModel, n: int, rng: np.random.Generator, part: tuple[int, int] | None = None
) -> Corpus:
    """Draw n windows of real text, one stretch of the source that is cut into blocks."""
    tokens = model.source.stream(n + model.context, rng, part)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, model.context + 1).copy()
    return Corpus(windows, np.arange(n) // model.length, np.zeros(n, bool))


def continued(
    model: NeuralLanguageModel, prompts: np.ndarray, n: int, decoding: Decoding | None, rng: np.random.Generator
) -> Corpus:
    """Let a network write n windows, in blocks after the prompts, which are taken in turn if there are too few."""
    assert model.parameters is not None
    n_blocks = -(-n // model.length)
    prompts = prompts[np.arange(n_blocks) % len(prompts)]
    theta = np.maximum(model.parameters, _LOST) if model.architecture.is_tabular else model.parameters
    written = generate(model.architecture, theta, prompts, model.length, decoding, rng)
    text = np.concatenate([prompts, written], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(text, model.context + 1, axis=1)
    windows = windows.reshape(-1, model.context + 1)[:n]
    return Corpus(windows, np.arange(n) // model.length, np.ones(n, bool))


def _is_hopeless(record: HeadRecord) -> bool:
    """Whether a network is so wrong about what it was trained on that its parameters have run away, finite or not."""
    return record.unmasked_share > 0 and record.unmasked_share * record.unmasked_cross_entropy > MOST_NATS


class LanguageRecursion(Recursion):
    """One replicate a block; what is random is split by what it is for, so that the losses of one seed share it."""

    stream = "real text, initialisation, training and writing of networks"
    block_size = 1

    def __init__(
        self, model: NeuralLanguageModel, loss: Loss, sizes: np.ndarray, regime: Regime, decoding: Decoding | None
    ) -> None:
        self.model, self.loss, self.decoding = model, loss, decoding
        self.supply = regime.supply(sizes)
        self.stages = regime.stages if isinstance(regime, Staged) else 0
        self.cost = float(self.supply.fitted.mean()) * model.architecture.n_parameters
        self._require_text()

    def _require_text(self) -> None:
        """Refuse at once what would end a run at a later generation: more real text than the source has."""
        source, context = self.model.source, self.model.context
        for step, (n, fresh) in enumerate(zip(self.supply.synthetic, self.supply.fresh, strict=True)):
            is_drawn = step == 0 or self.supply.fresh_share[step] > 0 or self.model.prompts == "real"
            if n and is_drawn:
                source.require(int(n) + context)
            if fresh:
                source.require(int(fresh) + context, (step, self.stages))

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        generations = self.supply.drawn.size
        values = {name: np.full((1, generations + 1), np.nan) for name in (*metrics, *functions)}
        events = {"vacuous": np.zeros(1, np.int64), "diverged": np.full(1, -1, np.int64)}
        done = self._run(rng, values, events, metrics, functions, control)
        return Block(values, events) if done else Block({}, {})

    def surroundings(self) -> AbstractContextManager[None]:
        return one_blas_thread()

    def _run(
        self,
        rng: np.random.Generator,
        values: dict[str, np.ndarray],
        events: dict[str, np.ndarray],
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> bool:
        """Run the replicate; return whether it came to its end."""
        model, of_models = self.model, self.model.yardstick.names

        def record(t: int, found: dict[str, float]) -> None:
            mine = [name for name in metrics if name in of_models]
            measured = model.yardstick.measure(model.parameters, mine, self._shown(t)) | found
            for name in (*mine, *found):
                values[name][0, t] = measured[name]
            for name, function in functions.items():
                values[name][0, t] = function(model)

        (initialisation,) = rng.spawn(1)
        theta = model.architecture.initial(initialisation) if model.parameters is None else model.parameters
        corpus: Corpus | None = None
        pool: list[Corpus] = []
        record(0, {})
        for t in range(1, self.supply.drawn.size + 1):
            if control.stop[0]:
                return False
            # streams of its own for every generation: what one takes of them does not depend on the loss
            data, writing, training = rng.spawn(3)
            corpus = self._drawn(t - 1, model, corpus, data, writing)
            fitted = self._fitted(corpus, pool, data)
            trained = train(
                model.architecture,
                theta,
                fitted.windows,
                self.loss,
                model.training,
                training,
                previous=theta,
                stop=control.stop,
                score=model._score(self._shown(t)),
            )
            if control.stop[0]:
                return False
            record_of_head = None if trained.diverged else self._head(trained, theta, fitted)
            if record_of_head is None or _is_hopeless(record_of_head):
                events["diverged"][0] = t
                control.progress[control.slot] += self.supply.drawn.size + 1 - t
                break
            found = self._of_fit(trained, record_of_head, corpus, fitted, metrics)
            is_vacuous = record_of_head.unmasked_share == 0
            events["vacuous"] += is_vacuous
            model, theta = model._with(trained.theta), trained.theta
            record(t, found)
            self._keep(rng, model, t)
            control.progress[control.slot] += 1
        return True

    def _shown(self, t: int) -> tuple[int, int] | None:
        """How many parts of the facts real text has shown, of how many."""
        return (t, self.stages) if 0 < t < self.stages else None

    def _drawn(
        self,
        step: int,
        model: NeuralLanguageModel,
        before: Corpus | None,
        data: np.random.Generator,
        writing: np.random.Generator,
    ) -> Corpus:
        """Draw the text of a generation; `before` is that of the generation before."""
        supply = self.supply
        n, fresh, share = int(supply.synthetic[step]), int(supply.fresh[step]), float(supply.fresh_share[step])
        parts = []
        if n:
            parts.append(self._synthetic(n, share, model, before, data, writing))
        if fresh:
            parts.append(real_text(model, fresh, data, (step, self.stages)))
        return joined(parts)

    def _synthetic(
        self,
        n: int,
        share: float,
        model: NeuralLanguageModel,
        before: Corpus | None,
        data: np.random.Generator,
        writing: np.random.Generator,
    ) -> Corpus:
        if model.parameters is None:
            return real_text(model, n, data)
        is_onward = before is not None and model.prompts == "previous"
        real = real_text(model, n, data) if share > 0 or not is_onward else None
        prompts = before.onward if before is not None and is_onward else real.prompts  # type: ignore[union-attr]
        written = continued(model, prompts, n, self.decoding, writing)
        if share == 0 or real is None:
            return written
        is_real = data.random(int(written.blocks[-1]) + 1) < share
        chosen = is_real[written.blocks]
        windows = np.where(chosen[:, None], real.windows, written.windows)
        return Corpus(windows, written.blocks, ~chosen)

    def _fitted(self, drawn: Corpus, pool: list[Corpus], rng: np.random.Generator) -> Corpus:
        """Return what a generation is fitted to; `pool` has what was drawn before, where that is kept."""
        if self.supply.memory == FORGET:
            return drawn
        pool.append(drawn)
        every = joined(pool)
        if self.supply.memory == KEEP:
            return every
        return every.take(rng.choice(len(every.windows), len(drawn.windows), replace=False))

    def _head(self, trained: Trained, before: np.ndarray, fitted: Corpus) -> HeadRecord:
        """Return what theory says about the head at the end of a training."""
        model = self.model
        if model._is_capped(self.loss):
            return capped_record(model.architecture, trained.theta, fitted.windows, self.loss.gamma)  # type: ignore[attr-defined]
        loss = trained_loss(model.training, self.loss)
        return head_record(model.architecture, trained.theta, fitted.windows, loss, before)

    def _of_fit(
        self, trained: Trained, record: HeadRecord, drawn: Corpus, fitted: Corpus, metrics: Sequence[str]
    ) -> dict[str, float]:
        """Return the metrics of a fit that are wanted."""
        model, wanted = self.model, set(metrics)
        values = head_metrics(record) | {"masked_share": 1 - record.unmasked_share}
        values["average_masked_share"] = trained.masked_share
        if trained.averages is not None:
            values |= average_metrics(trained.averages)
        if "confidence_synthetic" in wanted:
            log_p = model.architecture.target_log_probs(trained.theta, fitted.windows[fitted.own])
            values["confidence_synthetic"] = float(np.exp(log_p).mean())
        if "unigram_kl" in wanted:
            values["unigram_kl"] = unigram_divergence(fitted.windows[:, -1], model.yardstick.unigrams)
        own = drawn.own
        for n in (1, 2, 3):
            if f"distinct_{n}" in wanted:
                values[f"distinct_{n}"] = distinct(drawn.windows[own, -1], drawn.blocks[own], n)
        return {name: value for name, value in values.items() if name in wanted}

    def _keep(self, rng: np.random.Generator, model: NeuralLanguageModel, t: int) -> None:
        """Write the network of a generation to its file, if networks are kept."""
        if model.checkpoints is None:
            return
        model.save(generation_file(model.checkpoints, rng, t))
