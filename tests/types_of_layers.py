"""What a type checker knows of the layers; `make check` reads it, nothing runs it."""

from __future__ import annotations

from typing import assert_type

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from urnn.nn import GRU, LSTM, RNN, UnitaryRNN


def of_calls(x: Tensor, packed: PackedSequence, h: Tensor) -> None:
    assert_type(RNN(3, 4)(x), tuple[Tensor, Tensor])
    assert_type(GRU(3, 4)(packed, h), tuple[PackedSequence, Tensor])
    assert_type(LSTM(3, 4)(x), tuple[Tensor, tuple[Tensor, Tensor]])
    assert_type(LSTM(3, 4).forward(packed, (h, h)), tuple[PackedSequence, tuple[Tensor, Tensor]])
    layer = UnitaryRNN(3, 4, transition="unitary")
    assert_type(layer(x), tuple[Tensor, Tensor])
    assert_type(layer.constraint_error(), float)
    LSTM(3, 4)(x, h)  # type: ignore[call-overload]
