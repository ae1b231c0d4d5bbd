"""Recurrent layers for torch, on the compiled kernels; docs/layers.md shows how they are used.

`RNN`, `LSTM` and `GRU` are drop-in for those of torch.nn.
"""

from urnn.nn.layers import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN"]
