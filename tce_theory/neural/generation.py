"""Text that a network generates: prompts continued by drawing from its laws, or by searching with beams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tce_theory.decoding import BeamSearch, Decoding, Temperature, TopK, TopP
from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.neural._blas import one_blas_thread
from tce_theory.validation import positive_integer

if TYPE_CHECKING:
    from tce_theory.neural.network import Architecture

__all__ = ["generate"]

_REMEMBERED = 2**20  # probabilities, of all laws that are remembered


def generate(
    architecture: Architecture,
    theta: np.ndarray,
    prompts: np.ndarray,
    length: int,
    decoding: Decoding | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Continue every prompt by `length` tokens, int64 (P, length).

    Parameters
    ----------
    architecture : Architecture
    theta : numpy.ndarray, shape (architecture.n_parameters,)
    prompts : numpy.ndarray of int, shape (P, architecture.context)
    length : int
    decoding : Temperature, TopK, TopP, BeamSearch, or None
        None draws from the network's laws as they are. Greedy decoding is TopK(1).
    rng : numpy.random.Generator
        One uniform number a token is taken, prompt after prompt, whatever the laws are: with the same generator two
        networks are coupled token by token. Beams and greedy decoding are deterministic; beams take none.

    Raises
    ------
    DomainError
        If prompts are no tokens of the right shape, or theta is not finite or has another size.
    UnsupportedCombinationError
        If the way to decode is for densities.

    Examples
    --------
    >>> from tce_theory.neural.network import Architecture
    >>> network = Architecture(vocabulary=3, context=1, embedding=None)
    >>> theta = np.log([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]]).ravel()
    >>> generate(network, theta, np.array([[0], [1]]), 4, TopK(1), np.random.default_rng(1)).tolist()
    [[1, 2, 0, 1], [2, 0, 1, 2]]
    """
    from tce_theory.kernels import generation as kernel

    length = positive_integer("length", length)
    prompts, theta = _prompts(architecture, prompts), _theta(architecture, theta)
    text = np.empty((prompts.shape[0], architecture.context + length), np.int64)
    text[:, : architecture.context] = prompts
    shape = architecture.sizes, architecture.vocabulary, architecture.embedding or 0
    remembered = _REMEMBERED // architecture.vocabulary
    with one_blas_thread():
        if isinstance(decoding, BeamSearch):
            kernel.beams(theta, *shape, text, length, decoding.width, decoding.repetition_penalty, remembered)
        else:
            uniforms = rng.random((prompts.shape[0], length))
            kernel.sample(theta, *shape, text, uniforms, *_kernel_decoding(decoding), remembered)
    return text[:, architecture.context :].copy()


def _kernel_decoding(decoding: Decoding | None) -> tuple[int, float]:
    from tce_theory.kernels import generation as kernel

    match decoding:
        case None:
            return kernel.AS_IT_IS, 0.0
        case Temperature(temperature):
            return kernel.TEMPERATURE, temperature
        case TopK(1):
            return kernel.GREEDY, 0.0
        case TopK(k):
            return kernel.TOP_K, float(k)
        case TopP(p):
            return kernel.TOP_P, p
    raise UnsupportedCombinationError(
        f"a language model does not go with {decoding!r}: tokens take Temperature, TopK, TopP or BeamSearch"
    )


def _prompts(architecture: Architecture, prompts: np.ndarray) -> np.ndarray:
    found = np.asarray(prompts)
    if found.ndim != 2 or found.shape[1] != architecture.context or not len(found) or found.dtype.kind not in "iu":
        admissible = f"integer tokens of shape (P, {architecture.context}), the contexts to continue"
        raise DomainError("prompts", f"an array of {found.dtype} of shape {found.shape}", admissible)
    if found.size and (found.min() < 0 or found.max() >= architecture.vocabulary):
        bad = int(found[(found < 0) | (found >= architecture.vocabulary)][0])
        raise DomainError("prompts", bad, f"tokens from 0 to {architecture.vocabulary - 1}")
    return found.astype(np.int64)


def _theta(architecture: Architecture, theta: np.ndarray) -> np.ndarray:
    found = np.ascontiguousarray(theta, dtype=np.float64)
    if found.shape != (architecture.n_parameters,):
        raise DomainError("theta", f"an array of shape {found.shape}", f"of shape ({architecture.n_parameters},)")
    if not np.isfinite(found).all():
        raise DomainError("theta", float(found[~np.isfinite(found)][0]), "finite (the training diverged)")
    return found
