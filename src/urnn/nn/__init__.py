"""Recurrent layers for torch, on the compiled kernels; docs/layers.md shows how they are used.

`RNN`, `LSTM` and `GRU` are drop-in for those of torch.nn. `UnitaryRNN` stands where torch.nn.RNN
does, with a transition that stays in a set. `constrain` keeps a weight of any module in a set;
`retract_`, `retract_after` and `constraint_error` belong to it. `prepare` compiles ahead.
"""

from urnn.nn.constraints import constrain, constraint_error, retract_, retract_after
from urnn.nn.layers import GRU, LSTM, RNN, prepare
from urnn.nn.unitary import UnitaryRNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "UnitaryRNN",
    "constrain",
    "constraint_error",
    "prepare",
    "retract_",
    "retract_after",
]
