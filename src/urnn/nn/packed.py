"""Trials of unequal lengths in one batch: what a `PackedSequence` asks of the layers.

Trials are padded at their ends. What comes later than a trial's last step is never read, but a
further input, 1 at the padded steps, is there for two cells: it shuts and opens the gates of an
LSTM so that the cell state stays as it was, and it shuts the units of a ReLU, which could overflow.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

#: what is added to the sum of a gate, whose sigmoid is then 0 or 1
_SHUT = 1e4
#: what is added to the sum of a ReLU, which is then 0
_OFF = -1e38


class Lengths:
    """The lengths (B,) of padded trials, in the packed order, which is the longest first."""

    def __init__(self, lengths: Tensor, time: int, device: torch.device) -> None:
        lengths = lengths.to(device)
        t = torch.arange(time, device=device)
        #: (B, T), whether a step is one of the trial
        self.valid = t < lengths[:, None]
        self._backwards = torch.where(self.valid, lengths[:, None] - 1 - t, t)
        self._last = lengths - 1

    def reverse(self, x: Tensor) -> Tensor:
        """x (B, T, m) with each trial's own steps the other way."""
        return torch.take_along_dim(x, self._backwards[:, :, None], 1)

    def last(self, h: Tensor) -> Tensor:
        """The states (D, B, n) after each trial's last step, of h (D, B, T, n)."""
        return torch.take_along_dim(h, self._last[None, :, None, None], 2)[:, :, 0]

    def marked(self, x: Tensor) -> Tensor:
        """x (D, B, T, m) with a further input, 1 at the padded steps."""
        mark = (~self.valid).to(x.dtype)[None, :, :, None]
        return torch.cat([x, mark.expand(len(x), -1, -1, -1)], -1)

    def data(self, x: Tensor) -> Tensor:
        """The steps of all trials, packed, of x (B, T, m)."""
        return x.transpose(0, 1)[self.valid.mT]

    def padded(self, data: Tensor) -> Tensor:
        """The reverse of `data`."""
        steps = self.valid.mT
        x = data.new_zeros(*steps.shape, data.shape[1])
        return x.index_put((steps,), data).transpose(0, 1)


def keeping_cell(F: Tensor, units: int) -> Tensor:
    """F (4 n, m + 1) of an LSTM with the weights of `Lengths.marked`: i = 0 and f = 1."""
    column = torch.cat([F.new_full((units, 1), -_SHUT), F.new_full((units, 1), _SHUT)])
    return torch.cat([F, torch.cat([column, F.new_zeros(2 * units, 1)])], 1)


def shutting(F: Tensor, units: int) -> Tensor:
    """F (n, m + 1) of a ReLU with the weights of `Lengths.marked`: h = 0."""
    return torch.cat([F, F.new_full((units, 1), _OFF)], 1)


#: by mode, the layers that need the further input, and F with its weights
MARKED = {"LSTM": keeping_cell, "RNN_RELU": shutting}


def unpack(input: PackedSequence) -> tuple[Tensor, Lengths]:
    """x (B, T, m) in the packed order, and the lengths."""
    x, lengths = pad_packed_sequence(PackedSequence(input.data, input.batch_sizes), True)
    return x, Lengths(lengths, x.shape[1], x.device)
