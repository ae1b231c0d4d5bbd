"""The one table of activations: kernels, torch, options and the numpy network have the same."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

import urnn.rnn
from urnn.recurrence import activations
from urnn.recurrence.activations import ACTIVATIONS
from urnn.recurrence.cells import POINT


def test_all_have_the_same_names() -> None:
    names = get_args(activations.Name)
    assert tuple(ACTIVATIONS) == names
    assert get_args(POINT.plug("rnn").model_fields["activation"].annotation) == names
    assert set(urnn.rnn.ACTIVATIONS) == set(names)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_torch_and_numpy_agree(name: activations.Name) -> None:
    phi = ACTIVATIONS[name]
    random = np.random.default_rng(0)
    z, b = random.standard_normal((5, 8)), random.standard_normal(4 if phi.pairs else 8)
    if phi.pairs:
        z[0, :2] = 0
        h = urnn.rnn.ACTIVATIONS[name](z[:, ::2] + 1j * z[:, 1::2], b)
        expected = np.stack([h.real, h.imag], 2).reshape(z.shape)
        found = phi.torch(torch.from_numpy(z), torch.from_numpy(b))
    else:
        expected = urnn.rnn.ACTIVATIONS[name](z, b)
        found = phi.torch(torch.from_numpy(z + b), torch.from_numpy(b))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-15)
