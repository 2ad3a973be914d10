"""What a random mask leaves out says nothing about how probable it is, whereas TCE leaves out what is probable.

Which targets a random mask leaves out, the last of each batch, is tested against a plain loop in
tests/unit/test_network_controls.py. The margin, 0.01 in the mean probability of targets, is a tenth of the least that
the two controls have to differ by: a mask that is random among the likelier half of a batch, and that of TCE. All this
is given how many targets are left out, which is the twin's number.
"""

import numpy as np
import pytest
from equivalence import assert_different, assert_equivalent, mean_of

import tce_theory as tce
from tce_theory.kernels import network as kernel
from tce_theory.neural.network import Architecture
from tce_theory.neural.training import Training, train

NETWORK = Architecture(8, 2, 3, (8,))
MARGIN = 0.01
BATCH = 64


class Masks:
    """At each step of a random mask: how far the mean probability of what a mask leaves out is from that of all.

    Only batches of `size` targets are looked at.
    """

    def __init__(self, monkeypatch, size):
        self.random, self.likelier, self.capped = [], [], []
        self.size, self.train_epoch = size, kernel.train_epoch
        monkeypatch.setattr(kernel, "train_epoch", self)

    def __call__(self, theta, *rest):
        tokens, targets, order, batch = rest[3], rest[4], rest[6], rest[7]
        first_step, control, left_out = rest[17], rest[-3], rest[-2]
        if control != kernel.RANDOM_MASK:
            return self.train_epoch(theta, *rest)
        loss = 0.0
        for i, begin in enumerate(range(0, order.size, batch)):
            rows = order[begin : begin + batch]
            count = round(left_out[first_step + i])
            if rows.size == self.size and 0 < count < rows.size:
                self.look(NETWORK.target_probs(theta, np.column_stack([tokens[rows], targets[rows]])), count)
            loss += self.train_epoch(theta, *rest[:6], rows, *rest[7:17], first_step + i, *rest[18:])[0]
        return loss, i + 1

    def look(self, p, count):
        half = np.flatnonzero(p >= np.median(p))
        self.random.append(p[p.size - count :].mean() - p.mean())
        self.likelier.append(p[half[-count:]].mean() - p.mean())
        self.capped.append(np.sort(p)[-count:].mean() - p.mean())


@pytest.mark.parametrize(("n", "epochs", "size"), [(6400, 40, BATCH), (88, 5000, 24)])
def test_what_a_random_mask_leaves_out_is_no_likelier_than_the_rest(monkeypatch, n, epochs, size):
    """In whole batches, and in the last, smaller ones, of a training that starts from a trained network."""
    rng = np.random.default_rng(1)
    windows = rng.integers(0, 8, (n, 3))
    follows = rng.random(n) < 0.7
    windows[follows, 2] = (windows[follows, 1] + 1) % 8
    start = NETWORK.initial(rng)
    if size < BATCH:
        start = train(NETWORK, start, windows, tce.CrossEntropy(), Training(engine="minibatch"), rng).theta
    masks = Masks(monkeypatch, size)
    training = Training(engine="minibatch", batch=BATCH, epochs=epochs, control="random-mask")
    train(NETWORK, start, windows, tce.TCE(0.6), training, rng)
    assert len(masks.random) > 3000
    assert_equivalent(mean_of(masks.random), 0.0, margin=MARGIN)
    for control in (masks.likelier, masks.capped):
        assert_different(mean_of(control), 0.0, margin=10 * MARGIN)
