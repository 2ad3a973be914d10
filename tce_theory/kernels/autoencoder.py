"""What a variational autoencoder adds to two multilayer perceptrons: Gaussian codes, and Bernoulli pixels.

An image x has a code z = m + exp(v/2) e, with mean m and log variance v from the encoder and standard normal e; its
divergence from the standard normal prior is the sum over codes of (m^2 + exp(v) - 1 - v)/2. The decoder gives logits a,
q = 1/(1 + exp(-a)), and the pixel's value has the probability p = q^x (1 - q)^(1 - x), whose cross entropy has the
gradient q - x in a. Everything is by rows: one image each.
"""

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def encode(heads, noise, codes, divergences):
    """Codes (B, L) and their divergences from the prior (B,), of means and log variances side by side (B, 2L)."""
    size = codes.shape[1]
    for i in range(codes.shape[0]):
        total = 0.0
        for j in range(size):
            mean, log_variance = heads[i, j], heads[i, size + j]
            codes[i, j] = mean + math.exp(0.5 * log_variance) * noise[i, j]
            total += mean * mean + (math.expm1(log_variance) - log_variance)
        divergences[i] = 0.5 * total


@njit(cache=True, nogil=True, error_model="numpy")
def encode_backward(heads, noise, code_gradients, factors, head_gradients):
    """Gradient in the heads of a loss of the codes, plus `factors` times the divergence of each image."""
    size = noise.shape[1]
    for i in range(noise.shape[0]):
        factor = factors[i]
        for j in range(size):
            mean, log_variance, along = heads[i, j], heads[i, size + j], code_gradients[i, j]
            head_gradients[i, j] = along + factor * mean
            moved = along * noise[i, j] * math.exp(0.5 * log_variance)
            head_gradients[i, size + j] = 0.5 * (moved + factor * math.expm1(log_variance))


@njit(cache=True, nogil=True, error_model="numpy")
def residuals(logits, images, out):
    """Fill `out` with the gradient q - x of cross entropy; it is precise in q or in 1 - q where x is 0 or 1."""
    for i in range(logits.shape[0]):
        for j in range(logits.shape[1]):
            a, x = logits[i, j], images[i, j]
            odds = math.exp(-abs(a))
            share = 1.0 / (1.0 + odds)
            # q and 1 - q each keep their precision, and (1 - x) q - x (1 - q) does not cancel for x of 0 or 1
            q, rest = (share, odds * share) if a >= 0.0 else (odds * share, share)
            out[i, j] = (1.0 - x) * q - x * rest


@njit(cache=True, nogil=True, error_model="numpy")
def log_probabilities(logits, images, log_p, p, totals):
    """Probabilities of the pixels' values, their logarithms, and the sum of these over each image."""
    for i in range(logits.shape[0]):
        total = 0.0
        for j in range(logits.shape[1]):
            a, x = logits[i, j], images[i, j]
            # log p = x log q + (1 - x) log(1 - q)
            toward = x * a if a < 0.0 else (x - 1.0) * a
            value = toward - math.log1p(math.exp(-abs(a)))
            log_p[i, j] = value
            p[i, j] = math.exp(value)
            total += value
        totals[i] = total


@njit(cache=True, nogil=True, error_model="numpy")
def scale_rows(weights, factors, out):
    """Multiply `out` by weights and by one factor for each row."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] *= factors[i] * weights[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def keep_unlikeliest(likelihoods, dropped, factors):
    """Set the factors (B,) to 0 for the `dropped` images of highest likelihood, to 1 for the others.

    Of equal ones those that come last are dropped. NaN counts as the highest.
    """
    order = np.argsort(likelihoods, kind="mergesort")
    kept = likelihoods.size - dropped
    for rank in range(likelihoods.size):
        factors[order[rank]] = 1.0 if rank < kept else 0.0
