"""The shape of a language model, and what one vector of parameters says about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from tce_theory.errors import DomainError
from tce_theory.validation import positive_integer

__all__ = ["Architecture"]

_MOST_ROWS = 2**16  # of a table of probabilities
_PIECE = 1024  # contexts that are evaluated at once


@dataclass(frozen=True)
class Architecture:
    """A neural language model: embedded contexts, tanh layers, a linear softmax head with bias; or a table of logits.

    The tokens of a context are embedded and put side by side (Bengio et al. 2003). All parameters are one flat vector
    `theta`: the embeddings (vocabulary, embedding), then layer by layer the matrix (in, out) and the bias (out,), the
    head last. A *tabular* model has embedding=None: a row of logits for each context, which is a network with one-hot
    contexts and no hidden layer (slug `tabular-limit`).

    Parameters
    ----------
    vocabulary : int
        Number of tokens V, at least 2.
    context : int
        Tokens k of a context: at least 1, or 0 in a tabular model.
    embedding : int or None
        Width D of the embeddings; None for a tabular model.
    hidden : tuple of int
        Widths of the hidden layers, none in a tabular model. Without them the head sees the embeddings themselves.

    Raises
    ------
    DomainError
        If an argument lies outside its range, or a tabular model would have more than 65,536 contexts.

    Examples
    --------
    >>> import numpy as np
    >>> network = Architecture(vocabulary=5, context=2, embedding=3, hidden=(4,))
    >>> network.n_parameters
    68
    >>> theta = network.initial(np.random.default_rng(1))
    >>> network.head(theta).size
    25
    >>> network.table(theta).shape
    (25, 5)
    """

    vocabulary: int
    context: int
    embedding: int | None
    hidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        tabular = self.embedding is None
        object.__setattr__(self, "vocabulary", positive_integer("vocabulary", self.vocabulary, minimum=2))
        object.__setattr__(
            self, "context", positive_integer("context", self.context, minimum=0 if tabular else 1, maximum=1024)
        )
        if not isinstance(self.hidden, Iterable):
            raise DomainError("hidden", self.hidden, "a tuple of widths, such as (64,)")
        hidden = tuple(positive_integer("hidden", width) for width in self.hidden)
        object.__setattr__(self, "hidden", hidden)
        if self.embedding is not None:
            object.__setattr__(self, "embedding", positive_integer("embedding", self.embedding))
        elif hidden:
            raise DomainError("hidden", hidden, "() for a tabular model (embedding=None)")
        elif self.vocabulary**self.context > _MOST_ROWS:
            admissible = f"such that a tabular model has at most {_MOST_ROWS:,} contexts (here vocabulary**context)"
            raise DomainError("context", self.context, admissible)

    @property
    def is_tabular(self) -> bool:
        """Whether the model is a table of logits."""
        return self.embedding is None

    @property
    def n_contexts(self) -> int:
        """Number of possible contexts, vocabulary**context."""
        return int(self.vocabulary**self.context)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Widths of the layers, int64, that of the input first."""
        first = self.n_contexts if self.embedding is None else self.context * self.embedding
        return np.array([first, *self.hidden, self.vocabulary], np.int64)

    @property
    def n_parameters(self) -> int:
        """Length of theta."""
        sizes = [int(size) for size in self.sizes]
        if self.embedding is None:
            return sizes[0] * sizes[1]
        return self.vocabulary * self.embedding + sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))

    def initial(self, rng: np.random.Generator) -> np.ndarray:
        """Draw parameters to start from, float64 (n_parameters,).

        Embeddings are standard normal, matrices normal with variance 1 / (width of what they take in), biases 0; a
        tabular model starts uniform, with logits 0.
        """
        theta = np.zeros(self.n_parameters)
        if self.embedding is None:
            return theta
        here = self.vocabulary * self.embedding
        theta[:here] = rng.standard_normal(here)
        for n_in, n_out in pairwise(self.sizes.tolist()):
            theta[here : here + n_in * n_out] = rng.standard_normal(n_in * n_out) / math.sqrt(n_in)
            here += (n_in + 1) * n_out
        return theta

    def head(self, theta: np.ndarray) -> np.ndarray:
        """Return the part of theta (a view) in which the logits are linear: matrix and bias of the last layer."""
        if self.embedding is None:
            return theta
        return theta[theta.size - (int(self.sizes[-2]) + 1) * self.vocabulary :]

    def features(self, theta: np.ndarray, contexts: np.ndarray) -> np.ndarray:
        """Return what the head sees, float64 (n, width); for a tabular model the one-hot contexts."""
        tokens = self._tokens(contexts)
        if self.embedding is None:
            one_hot = np.zeros((tokens.shape[0], self.n_contexts))
            one_hot[np.arange(tokens.shape[0]), tokens[:, 0]] = 1.0
            return one_hot
        out = np.empty((tokens.shape[0], int(self.sizes[-2])))
        for start in range(0, tokens.shape[0], _PIECE):
            piece = tokens[start : start + _PIECE]
            x, activations = self._activations(theta, piece)
            width = out.shape[1]
            hidden = sum(self.hidden)
            seen = activations[(hidden - width) * len(piece) : hidden * len(piece)] if self.hidden else x
            out[start : start + _PIECE] = seen.reshape(len(piece), width)
        return out

    def log_probs(self, theta: np.ndarray, contexts: np.ndarray) -> np.ndarray:
        """Return the logarithms of the probabilities of all tokens after each context, float64 (n, vocabulary).

        Parameters
        ----------
        theta : numpy.ndarray, shape (n_parameters,)
        contexts : numpy.ndarray of int, shape (n, context)
        """
        from tce_theory.kernels import network as kernel

        return self._rows(theta, contexts, kernel.log_softmax)

    def probs(self, theta: np.ndarray, contexts: np.ndarray) -> np.ndarray:
        """Return the probabilities of all tokens after each context, float64 (n, vocabulary).

        They do not come from rounded logarithms: with equal logits they are 1/vocabulary rounded once, as in training.
        """
        from tce_theory.kernels import network as kernel

        return self._rows(theta, contexts, kernel.softmax)

    def target_log_probs(self, theta: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Return the logarithm of the probability of each window's last token after those before, float64 (n,)."""
        return self._of_targets(theta, windows, self.log_probs)

    def target_probs(self, theta: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Return the probability of each window's last token after those before, float64 (n,); see `probs`."""
        return self._of_targets(theta, windows, self.probs)

    def table(self, theta: np.ndarray) -> np.ndarray:
        """Return the probabilities after every possible context, float64 (vocabulary**context, vocabulary).

        Contexts are in lexicographic order.

        Raises
        ------
        DomainError
            If there are more than 65,536 contexts.
        """
        if self.n_contexts > _MOST_ROWS:
            raise DomainError(
                "context", self.context, f"such that there are at most {_MOST_ROWS:,} contexts for a table"
            )
        return self.probs(theta, self.all_contexts())

    def all_contexts(self) -> np.ndarray:
        """Return every possible context in lexicographic order, int64 (vocabulary**context, context)."""
        codes = np.arange(self.n_contexts)
        powers = self.vocabulary ** np.arange(self.context - 1, -1, -1)
        return np.asarray(codes[:, None] // powers % self.vocabulary)

    def _tokens(self, contexts: np.ndarray) -> np.ndarray:
        """Return what the kernels take: the tokens of each context, or (n, 1) its row in a tabular model."""
        rows = np.ascontiguousarray(contexts, dtype=np.int64)
        if self.embedding is not None:
            return rows
        powers = self.vocabulary ** np.arange(self.context - 1, -1, -1)
        return np.ascontiguousarray((rows @ powers).reshape(-1, 1), dtype=np.int64)

    def _activations(self, theta: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from tce_theory.kernels import network as kernel

        x = np.ascontiguousarray(theta[: self.vocabulary * (self.embedding or 0)].reshape(self.vocabulary, -1)[tokens])
        x = x.reshape(tokens.shape[0], -1)
        activations = np.empty(tokens.shape[0] * int(self.sizes[1:].sum()))
        kernel.forward(theta[self.vocabulary * (self.embedding or 0) :], self.sizes, x, activations)
        return x, activations

    def _rows(self, theta: np.ndarray, contexts: np.ndarray, normalise: Callable[[np.ndarray], None]) -> np.ndarray:
        """Return the logits of each context, normalised in place."""
        tokens = self._tokens(contexts)
        out = np.empty((tokens.shape[0], self.vocabulary))
        for start in range(0, tokens.shape[0], _PIECE):
            piece = out[start : start + _PIECE]
            self._logits(theta, tokens[start : start + _PIECE], piece)
            normalise(piece)
        return out

    def _of_targets(
        self, theta: np.ndarray, windows: np.ndarray, rows_of: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Return each window's own number out of the row of its context."""
        out = np.empty(windows.shape[0])
        for start in range(0, windows.shape[0], _PIECE):
            piece = windows[start : start + _PIECE]
            rows = rows_of(theta, piece[:, : self.context])
            out[start : start + _PIECE] = rows[np.arange(len(piece)), piece[:, self.context]]
        return out

    def _logits(self, theta: np.ndarray, tokens: np.ndarray, out: np.ndarray) -> None:
        if self.embedding is None:
            out[:] = theta.reshape(-1, self.vocabulary)[tokens[:, 0]]
        else:
            out[:] = self._activations(theta, tokens)[1][-out.size :].reshape(out.shape)

    def describe(self) -> dict[str, Any]:
        """Return the parameters of the constructor, for records."""
        return {
            "vocabulary": self.vocabulary,
            "context": self.context,
            "embedding": self.embedding,
            "hidden": list(self.hidden),
        }
