"""Neural language models as a family: each generation learns from text that the one before has written."""

from __future__ import annotations

import copy
import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tce_theory.decoding import BeamSearch, Decoding, VarianceScaling
from tce_theory.errors import DegenerateFitError, DomainError, RunFileError, UnsupportedCombinationError
from tce_theory.fitting import Fit
from tce_theory.losses import Loss, TruncatedCrossEntropy, WeightedCrossEntropy
from tce_theory.models.base import Model, Recursion
from tce_theory.models.categorical import _check_weight
from tce_theory.models.markov import MarkovChain
from tce_theory.neural._blas import one_blas_thread
from tce_theory.neural.checkpoints import read_checkpoint, write_checkpoint
from tce_theory.neural.metrics import AVERAGES, DATA, FACTS, HEAD, MASKED, ON_CAP, TRUTH, Yardstick, capped_weights
from tce_theory.neural.network import Architecture
from tce_theory.neural.sources import LanguageSource
from tce_theory.neural.training import (
    MOST_NATS,
    ContextCounts,
    Training,
    check_training,
    kernel_loss,
    train,
    trained_loss,
)
from tce_theory.regimes import Regime, Replace
from tce_theory.validation import finite_array, generator, one_of, positive_integer

__all__ = ["NeuralLanguageModel"]

DEFAULT_TRAINING = Training()


@dataclass(frozen=True, eq=False, repr=False)
class NeuralLanguageModel(Model):
    """A neural language model (Bengio et al. 2003), which learns from a source of real text and then from its own.

    Embeddings of the last tokens, tanh layers, a linear softmax head with bias: see `Architecture`. Data are *windows*
    (n, context + 1), each a context and the token that followed, in order, block after block.

    Generation 0 is the source, real text as it is; generation 1 is the first network, which is trained on real text.
    With `parameters` generation 0 is that network instead: generation 1 learns from what it writes.

    Parameters
    ----------
    source : LanguageSource
        Where real text comes from: `MarkovSource`, `KnowledgeCorpus` or `TextSource`.
    context : int
        Tokens that a prediction depends on.
    embedding : int or None
        Width of the embeddings; None for a tabular model, a law for each context.
    hidden : tuple of int
        Widths of the tanh layers.
    training : Training
        Optimiser, engine and their settings.
    length : int
        Tokens in a block, which a network writes in one go after a prompt of `context` tokens.
    prompts : {"previous", "real"}
        A network continues the corpus of the generation before, block by block, as the source of TCE does: block j is
        prompted by the last tokens of block j − 1 of that corpus (the first block by those of the last). Or it
        continues real text, drawn anew.
    parameters : array_like, optional
        Of the network; None is generation 0.
    decoding : Decoding, optional
        How `sample` draws; `simulate` has its own.
    checkpoints : str or os.PathLike, optional
        Folder in which `simulate` keeps the network of every generation, one file each, "replicate-…-generation-….npz".
        It is no part of `describe`. Two runs need two folders.

    Raises
    ------
    DomainError
        If a parameter lies outside its range.
    UnsupportedCombinationError
        If the engine of `training` cannot train the network.

    Notes
    -----
    A training by gradients that ends with every target masked counts as "vacuous": it has stopped where it was, which
    is the convention "warm", and other ones are refused. A mask by the previous model is, for the first network after
    real text, by the network that training starts from. `FreshMix` makes each *block* real with its probability,
    `Staged` takes its fresh text from disjoint parts of the source, `AccumulateSubsample` draws windows. Real text is
    that of the source also where `parameters` are given, and real prompts are from all parts of it. Where a regime
    draws n tokens that are no multiple of `length`, the last block is shorter. Decoding acts on networks and not on
    real text. With a control in `training` the loss is that of the twin, and metrics of a fit, "average_masked_share"
    apart, are those of the cross entropy that is trained: no generation is vacuous.

    Metrics of a model, without decoding; those on text are means over (at most 8,192) held-out real windows.

    "predictive_entropy"
        Entropy of the prediction, in nats. At generation 0 that of the law, as of the next three; they are NaN for a
        text, whose law is not known. Of facts of which `context` shows too little for a law, generation 0 has the
        entropy for the first two and NaN for the others.
    "heldout_cross_entropy"
        −log p of the token that followed, in nats.
    "calibration_error"
        Expected calibration error of the first choices, in 15 bins (Guo et al. 2017).
    "confidence_real"
        p of the token that followed.
    "retention", "recall"
        Shares of the facts whose true object is more probable than the false one; than every other token. A fact has
        the mean log probability over several real contexts. Facts that no real text has shown so far are not counted:
        in `Staged` those of the parts to come. They need a source with facts.
    "entropy_rate", "kl_rate_from_origin", "kl_rate_to_origin"
        Of the law of blocks after real prompts, as of a `MarkovChain` of order `context` with sequences of `length`;
        exact. The divergences need a source that is such a chain of at most 65,536 contexts that are met; the entropy
        and the second divergence at most 65,536 possible ones. A network gives every token some probability, so that
        the second divergence is inf where the source rules a token out.

    Metrics of a fit, which have no value at generation 0. *Own* windows are those that a network wrote, or all of them
    where none did, as at generation 1.

    "confidence_synthetic"
        Mean p of the targets of the own windows that the model was fitted to.
    "distinct_1", "distinct_2", "distinct_3"
        Share of different n-grams among all those within the own blocks that were drawn for this fit. It falls with the
        size of the corpus.
    "unigram_kl"
        KL(frequencies of tokens in the data ‖ those in real text), in nats; inf where a token occurs that real text
        lacks.
    "masked_share"
        Share of the weight that the loss takes from the targets, at the end of the training.
    "average_masked_share"
        The same on average over the steps of the training, of the targets of each; under a control what really was left
        out. Steps after an epoch that is kept count, too. NaN for an exact fit, which takes no steps.
    "unmasked_entropy", "unmasked_cross_entropy", "floor_gap"
        Weighted means H_S and CE_S over the unmasked targets, and H_S + log gamma (gamma = 1 for losses without a
        threshold); inf if all are masked. That the gap is at least −"head_certificate" needs targets that are unmasked
        by their own p: not a mask by the previous model, nor a smooth one.
    "head_product", "head_certificate"
        ⟨θ_h, ∇L_S⟩, which is CE_S − H_S (slug `head-identity`), and ‖θ_h‖·‖∇L_S‖ (slug `head-certificate`); 0 if all
        targets are masked.
    "average_excess", "average_excess_identity", "average_floor_slack"
        Slug `floor-on-average`: the mean of κ (CE_S − H_S) over the steps, what it is equal to, and by how much the
        average of H_S + log gamma exceeds its bound (inf if nothing was ever unmasked; a bound for the same masks).
        Recorded for plain gradient descent of a full batch: engine "counts", optimiser "sgd", no momentum, a constant
        step; with label smoothing of the smoothed targets.

    In `simulate` the event "vacuous" counts generations, and "diverged" is the first generation whose training met a
    number that is not finite, or ended with a cross entropy above 100 nats a target (−1 if none); metrics are NaN from
    there on, and the replicate ends.

    Examples
    --------
    >>> import tce_theory as tce
    >>> from tce_theory.neural.sources import MarkovSource
    >>> source = MarkovSource(tce.MarkovChain([[0.9, 0.1], [0.3, 0.7]]))
    >>> model = NeuralLanguageModel(source, context=1, embedding=2, hidden=(4,))
    >>> run = tce.simulate(model, tce.CrossEntropy(), n_samples=2000, generations=2, seed=1)
    >>> run.metrics["kl_rate_from_origin"].round(2)
    array([[0., 0., 0.]])
    >>> model.sample(3, seed=1).tolist()
    [[0, 1], [1, 0], [0, 1]]
    """

    source: LanguageSource
    _: KW_ONLY
    context: int = 3
    embedding: int | None = 16
    hidden: Sequence[int] = (64,)
    training: Training = DEFAULT_TRAINING
    length: int = 32
    prompts: str = "previous"
    parameters: np.ndarray | None = None
    decoding: Decoding | None = None
    checkpoints: str | os.PathLike[str] | None = None

    fit_kind = "training by gradients"

    def __post_init__(self) -> None:
        if not isinstance(self.source, LanguageSource):
            raise DomainError(
                "source", self.source, "a source of text, such as KnowledgeCorpus() or MarkovSource(chain)"
            )
        if not isinstance(self.training, Training):
            raise DomainError("training", self.training, "a Training, such as Training(epochs=20)")
        checked = {
            "length": positive_integer("length", self.length),
            "prompts": one_of("prompts", self.prompts, ("previous", "real")),
            "hidden": tuple(self.hidden) if isinstance(self.hidden, Sequence) else self.hidden,
            "checkpoints": None if self.checkpoints is None else os.fspath(self.checkpoints),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "context", self.architecture.context)
        self.training.engine_for(self.architecture)
        tokens = self.source.held_out.size
        if tokens <= max(self.context, 1):
            raise DomainError("context", self.context, f"below the {tokens} tokens of real text that are held out")
        if self.parameters is not None:
            object.__setattr__(self, "parameters", self._checked_parameters(self.parameters))
        of_fits = (*DATA, *MASKED, *HEAD, *(AVERAGES if self._is_plain_descent else ()))
        if self.training.keep == "retention" and FACTS[0] not in self.yardstick.names:
            raise UnsupportedCombinationError(
                "keep='retention' needs a source with facts, such as KnowledgeCorpus(), and a context of at least 2: "
                f"got {self.source!r} and context={self.context}"
            )
        object.__setattr__(self, "metric_names", (*self.yardstick.names, *of_fits))
        known = FACTS[:1] if FACTS[0] in self.metric_names else tuple(n for n in TRUTH if n in self.metric_names)
        object.__setattr__(self, "default_metrics", (*known, "heldout_cross_entropy", "predictive_entropy"))

    def _checked_parameters(self, parameters: Any) -> np.ndarray:
        theta = np.array(parameters, dtype=np.float64).ravel()
        if theta.size != self.architecture.n_parameters:
            wanted = f"{self.architecture.n_parameters} numbers, those of this network"
            raise DomainError("parameters", f"{theta.size} numbers", wanted)
        # a tabular model may have lost tokens, whose logits are −inf
        finite_array("parameters", theta[~np.isneginf(theta)] if self.architecture.is_tabular else theta)
        theta.flags.writeable = False
        return theta

    # what follows is shared by all models of a run, see `_with`

    @cached_property
    def architecture(self) -> Architecture:
        """The shape of the network."""
        return Architecture(self.source.vocabulary, self.context, self.embedding, self.hidden)  # type: ignore[arg-type]

    @cached_property
    def yardstick(self) -> Yardstick:
        """What models of this source are measured by."""
        return Yardstick(self.source, self.architecture, self.length)

    @property
    def _is_plain_descent(self) -> bool:
        chosen = self.training
        is_plain = chosen.optimiser == "sgd" and chosen.momentum == 0 and chosen.final_rate == 1
        return is_plain and chosen.keep == "last" and chosen.engine_for(self.architecture) == "counts"

    def _score(self, shown: tuple[int, int] | None = None) -> Callable[[np.ndarray], float] | None:
        """Return what keep="retention" chooses epochs by: the retention of the facts shown so far."""
        if self.training.keep != "retention":
            return None
        return lambda theta: self.yardstick.measure(theta, FACTS[:1], shown)[FACTS[0]]

    def _with(self, theta: np.ndarray) -> NeuralLanguageModel:
        """Return the model with other parameters."""
        model = copy.copy(self)
        theta.flags.writeable = False
        object.__setattr__(model, "parameters", theta)
        return model

    def summary(self) -> str:
        """Return in a few words what the network looks like.

        Examples
        --------
        >>> from tce_theory.neural.sources import KnowledgeCorpus
        >>> NeuralLanguageModel(KnowledgeCorpus(facts=10)).summary()
        'network of 3 × 16 → 64 → 47 units, 6,943 parameters'
        """
        shape = self.architecture
        if shape.is_tabular:
            return f"table of {shape.n_contexts:,} contexts × {shape.vocabulary} tokens"
        widths = " → ".join(map(str, (*shape.hidden, shape.vocabulary)))
        return f"network of {self.context} × {self.embedding} → {widths} units, {shape.n_parameters:,} parameters"

    def __repr__(self) -> str:
        state = "" if self.parameters is None else ", trained"
        return f"NeuralLanguageModel({self.source!r}, {self.summary()}{state})"

    def describe(self) -> dict[str, Any]:
        theta = self.parameters
        return {
            "name": type(self).__name__,
            **self._settings(),
            "parameters": None if theta is None else hashlib.sha256(theta.tobytes()).hexdigest(),
        }

    def _settings(self) -> dict[str, Any]:
        return {
            "source": self.source.describe(),
            "context": self.context,
            "embedding": self.embedding,
            "hidden": list(self.hidden),
            "training": asdict(self.training),
            "length": self.length,
            "prompts": self.prompts,
        }

    # --- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write settings and parameters to a file, which does not hold the text.

        Parameters
        ----------
        path : str or os.PathLike
            Where to: exactly this path. The file is whole or not there.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        arrays = {}
        if self.parameters is not None:
            lost = np.isneginf(self.parameters)  # files hold finite numbers
            arrays = {"parameters": np.where(lost, 0.0, self.parameters), "lost": np.flatnonzero(lost)}
        write_checkpoint(path, type(self).__name__, self._settings(), arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str], source: LanguageSource) -> NeuralLanguageModel:
        """Read a model that was saved; nothing in the file is ever executed.

        Parameters
        ----------
        path : str or os.PathLike
            Where from.
        source : LanguageSource
            The same text as when it was saved.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        RunFileError
            If it is no such file, is damaged, or was saved with another source.

        Examples
        --------
        >>> import tempfile
        >>> from tce_theory.neural.sources import KnowledgeCorpus
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     NeuralLanguageModel(KnowledgeCorpus(facts=10), hidden=(8,)).save(file.name)
        ...     NeuralLanguageModel.load(file.name, KnowledgeCorpus(facts=10)).hidden
        (8,)
        """
        if not isinstance(source, LanguageSource):
            raise DomainError("source", source, "the source of text that the model was saved with")
        name = os.fspath(path)
        settings, arrays = read_checkpoint(path, cls.__name__)
        if settings.pop("source", None) != source.describe():
            raise RunFileError(f"{name} was saved with another source than {source!r}")
        try:
            theta = arrays.get("parameters")
            if theta is not None:
                theta[arrays["lost"]] = -math.inf
            training = Training(**settings.pop("training"))
            return cls(source, training=training, parameters=theta, **settings)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise RunFileError(f"{name} is damaged: {error}") from None

    # --- text

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n windows, int64 (n, context + 1): real ones at generation 0, else written after real prompts."""
        from tce_theory.neural.recursion import continued, real_text

        n, rng = positive_integer("n", n), generator(seed)
        if self.parameters is None:
            return real_text(self, n, rng).windows
        data, writing = rng.spawn(2)
        return continued(self, real_text(self, n, data).prompts, n, self.decoding, writing).windows

    def decoded(self, decoding: Decoding | None) -> NeuralLanguageModel:
        """Return the model that `sample` draws from in this way."""
        model = copy.copy(self)
        object.__setattr__(model, "decoding", decoding)
        return model

    def log_probs(self, windows: np.ndarray) -> np.ndarray:
        """Return the logarithm of the probability of every window's last token after those before, float64 (n,).

        At generation 0 it needs a source that is a chain of order `context` or lower.
        """
        windows = self._windows(windows)
        if self.parameters is not None:
            return self.architecture.target_log_probs(self.parameters, windows)
        if self.yardstick.law is None or self.context == 0:
            raise UnsupportedCombinationError(self._unknown_law)
        return np.asarray(self.yardstick.log_probs(None, windows[:, :-1])[np.arange(len(windows)), windows[:, -1]])

    def target_probs(self, windows: np.ndarray) -> np.ndarray:
        """Return how confident the model is of the tokens that follow: what the source of TCE shows in its Fig. 1.

        Parameters
        ----------
        windows : array_like of int, shape (n, context + 1) or (m,)
            Contexts with the token that followed, as of `sample`, or one sequence of tokens.

        Returns
        -------
        numpy.ndarray
            Float64 (n,): the probability p of each window's last token.

        Examples
        --------
        >>> from tce_theory.neural.sources import MarkovSource
        >>> model = NeuralLanguageModel(MarkovSource(MarkovChain([[0.9, 0.1], [0.3, 0.7]])), context=1)
        >>> model.target_probs([0, 0, 1]).round(6)
        array([0.9, 0.1])
        """
        return np.asarray(np.exp(self.log_probs(windows)))

    @property
    def _unknown_law(self) -> str:
        return f"generation 0 is {self.source!r}: its law is not known as a chain of order {self.context}"

    def _windows(self, data: Any) -> np.ndarray:
        found, width = np.asarray(data), self.context + 1
        if found.ndim == 1 and found.size >= width:
            found = np.lib.stride_tricks.sliding_window_view(found, width)
        if found.ndim != 2 or found.shape[1] != width or not len(found) or found.dtype.kind not in "iu":
            admissible = f"integer tokens in one sequence of more than {self.context}, or windows of shape (n, {width})"
            raise DomainError("data", f"an array of {found.dtype} of shape {found.shape}", admissible)
        bad = (found < 0) | (found >= self.source.vocabulary)
        if bad.any():
            raise DomainError("data", int(found[bad][0]), f"tokens from 0 to {self.source.vocabulary - 1}")
        return np.ascontiguousarray(found, dtype=np.int64)

    # --- the law

    def to_chain(self) -> MarkovChain:
        """Return the law as a Markov chain of order `context`, 1 at least; sequences have `length` tokens.

        They begin as real text does: by the law of the source, or as often as contexts are met in held-out text.

        Raises
        ------
        DomainError
            If there are more than 65,536 contexts, or 4,194,304 transitions.
        UnsupportedCombinationError
            At generation 0, if the source is no such chain.

        Examples
        --------
        >>> from tce_theory.neural.sources import MarkovSource
        >>> model = NeuralLanguageModel(MarkovSource(MarkovChain([[0.9, 0.1], [0.3, 0.7]])), context=1)
        >>> model.to_chain()
        MarkovChain([[0.9, 0.1], [0.3, 0.7]], order=1)
        """
        if not self.yardstick.is_writable:
            admissible = "such that there are at most 65,536 contexts and 4,194,304 transitions"
            raise DomainError("context", self.context, f"{admissible} of {self.source.vocabulary} tokens")
        if self.parameters is None and self.yardstick.truth is None:
            raise UnsupportedCombinationError(self._unknown_law)
        return self.yardstick.frame if self.parameters is None else self.yardstick.chain(self.parameters)

    def law(self, decoding: Decoding | None = None) -> ContextCounts:
        """Return the law of the windows that the model writes after real prompts: infinitely many data for `fit`.

        Parameters
        ----------
        decoding : Temperature, TopK or TopP, optional

        Returns
        -------
        ContextCounts
            Probabilities in place of counts, of all windows together.

        Raises
        ------
        DomainError, UnsupportedCombinationError
            As of `to_chain`; a search with beams is no law of tokens.

        Examples
        --------
        >>> from tce_theory.neural.sources import MarkovSource
        >>> model = NeuralLanguageModel(MarkovSource(MarkovChain([[0.9, 0.1], [0.3, 0.7]])), context=1)
        >>> model.law().counts.round(6)
        array([[0.675, 0.075],
               [0.075, 0.175]])
        """
        if isinstance(decoding, BeamSearch):
            raise UnsupportedCombinationError(f"{decoding!r} has no law of windows: continuations are found as a whole")
        chain = self.to_chain()
        if self.parameters is not None:  # real text is not decoded
            chain = chain.decoded(decoding)
        mass = chain.occupation()[:, None] * chain.transition
        if self.context == 0:
            mass = mass.sum(axis=0, keepdims=True)
        return ContextCounts(self.architecture.all_contexts(), mass)

    def peak(self) -> float:
        """Return the largest probability that the model gives to a token after held-out text.

        A text whose law is not known has 1, the largest there can be.
        """
        if self.parameters is None and self.yardstick.law is None:
            return 1.0
        return float(self.yardstick._looked_at(self.parameters).top.max())

    def measure(self, metric: str, origin: Model) -> float:
        known = [name for name in self.metric_names if name in self.yardstick.names]
        with one_blas_thread():
            return self.yardstick.measure(self.parameters, [one_of("metric", metric, known)])[metric]

    # --- fits

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        family = type(self).__name__
        if isinstance(decoding, VarianceScaling):
            raise UnsupportedCombinationError(
                f"{family} does not go with {decoding!r}, which is for densities: "
                "tokens take Temperature, TopK, TopP or BeamSearch"
            )
        engine = self.training.engine_for(self.architecture)
        kernel_loss(loss, family)
        check_training(self.training, loss)
        if engine == "exact" and isinstance(loss, WeightedCrossEntropy):
            _check_weight(loss)
        is_convention = isinstance(loss, TruncatedCrossEntropy) and loss.vacuous not in ("auto", "warm")
        if is_convention and engine != "exact":
            raise UnsupportedCombinationError(
                f"{family} does not go with {loss!r}: a training by gradients stops where everything is masked, which "
                "is vacuous='warm'"
            )

    def fit(self, data: Any, loss: Loss, seed: int | np.random.Generator | None = None) -> Fit[NeuralLanguageModel]:
        """Train the network from these parameters, or at generation 0 from new ones.

        Parameters
        ----------
        data : array_like of int or ContextCounts
            Windows (n, context + 1), one sequence of tokens, or counts.
        loss : Loss
        seed : int or numpy.random.Generator, optional
            Of new parameters and of the order of minibatches.

        Returns
        -------
        Fit
            Weights are those of the targets at the end, (n,), or of all tokens after each context for counts,
            (contexts × vocabulary,); those of stationarity where an exact fit has put probabilities onto gamma.

        Raises
        ------
        DegenerateFitError
            If training diverges, or ends with more than 100 nats a target.

        Examples
        --------
        >>> import tce_theory as tce
        >>> from tce_theory.neural.sources import MarkovSource
        >>> table = NeuralLanguageModel(
        ...     MarkovSource(MarkovChain([[0.9, 0.1], [0.3, 0.7]])), context=1, embedding=None, hidden=()
        ... )
        >>> table.fit([0, 0, 0, 0, 1, 0], tce.TCE(0.7)).model.to_chain().transition.round(6)
        array([[0.7, 0.3],
               [0.7, 0.3]])
        """
        self.check(loss, Replace())
        data = data if isinstance(data, ContextCounts) else self._windows(data)
        initialisation, training = generator(seed).spawn(2)
        start = self.architecture.initial(initialisation) if self.parameters is None else self.parameters
        trained = train(self.architecture, start, data, loss, self.training, training, score=self._score())
        is_exact = self.training.engine_for(self.architecture) == "exact"
        if not trained.diverged:
            fitted = self._fit(trained.theta, data, trained_loss(self.training, loss), start, trained.steps)
            if is_exact or fitted.objective <= MOST_NATS:  # else it has run away, as in `simulate`
                return fitted
        raise DegenerateFitError(
            f"training diverged after {trained.steps} steps: take a smaller rate than {self.training.step_size:g}"
        )

    def _fit(
        self, theta: np.ndarray, data: Any, loss: Loss, before: np.ndarray, steps: int
    ) -> Fit[NeuralLanguageModel]:
        architecture, gamma = self.architecture, loss.gamma if isinstance(loss, TruncatedCrossEntropy) else math.inf
        log_p, counts = _log_probs_of(architecture, theta, data)
        p, by_previous = np.exp(log_p), isinstance(loss, TruncatedCrossEntropy) and loss.mask == "previous"
        seen = counts > 0
        if by_previous:
            weights = np.asarray(loss.weight(np.exp(_log_probs_of(architecture, before, data)[0])))
            terms = weights[seen] * -log_p[seen]
        else:
            weights, terms = np.asarray(loss.weight(p)), np.asarray(loss.objective(p[seen]))
        boundary = np.zeros(weights.size, bool) if by_previous else (p == gamma).ravel()
        if self._is_capped(loss):
            weights = capped_weights(architecture, theta, data, gamma)
            boundary = (seen & (weights > 0) & (p >= gamma * ON_CAP)).ravel()
        return Fit(
            model=self._with(theta),
            objective=float((counts[seen] * terms).sum() / counts.sum()),
            weights=weights.ravel(),
            masked_weight=float((counts * (1 - weights)).sum()),
            boundary_index=np.flatnonzero(boundary),
            vacuous=not weights[seen].any(),
            n_iter=steps,
        )

    def _is_capped(self, loss: Loss) -> bool:
        """Whether fits are exact ones under TCE, which put probabilities onto gamma itself."""
        is_current = isinstance(loss, TruncatedCrossEntropy) and loss.mask == "current"
        return is_current and self.training.engine_for(self.architecture) == "exact"

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        from tce_theory.neural.recursion import LanguageRecursion

        return LanguageRecursion(self, loss, sizes, regime, decoding)


def _log_probs_of(architecture: Architecture, theta: Any, data: np.ndarray | ContextCounts) -> tuple[Any, Any]:
    """Return log p of each target with how often it occurs: of windows, or of all tokens after each context."""
    with one_blas_thread():
        if isinstance(data, ContextCounts):
            return architecture.log_probs(theta, data.contexts), data.counts
        return architecture.target_log_probs(theta, data), np.ones(len(data))
