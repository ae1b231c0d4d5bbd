"""`UnitaryRNN`: torch.nn.RNN with a transition that stays in a set of matrices."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.parameter import Parameter

from urnn.errors import ArgumentError
from urnn.nn.constraints import constrain, constraint_error, redraw
from urnn.nn.layers import PAIRED, RNN, run

#: the activations that torch.nn.RNN has
_OF_TORCH = ("tanh", "relu")


class UnitaryRNN(RNN):
    """h_t = phi(W_hh h_{t-1} + b_hh + W_ih x_t + b_ih), W_hh in a set of `urnn.transition`.

    Drop-in for torch.nn.RNN. With the sets that are trained by W itself, which "unitary" and
    "contractive" are, the state_dict has torch's names, and `urnn.nn.retract_` has to follow every
    step of the optimizer; the other sets train parametrizations.weight_hh_l0.original. A complex
    set has n / 2 complex units: units 2k and 2k + 1 are the real and the imaginary part of one.

    With nonlinearity="modrelu", phi(z) = max(|z| + b, 0) z / |z| of complex units, and there are no
    b_ih and b_hh but a bias b of each complex unit, modrelu_bias_l0 (Arjovsky, Shah, Bengio 2016,
    equation 8).

    Args:
        input_size, hidden_size, num_layers, bias, batch_first: as of torch.nn.RNN.
        dropout, bidirectional, device, dtype: likewise.
        nonlinearity: tanh, relu or modrelu, whose own bias there is whatever ``bias`` says.
        transition: the set, by its name.
        start: W before training: "orthogonal", which is drawn, or "identity".
        options: of the set, such as field="complex".

    Raises:
        ArgumentError: there is no such nonlinearity, the set has no matrix of this size, or modrelu
            an odd number of units.
        ConfigError: there is no such set, or no such option. Both are ValueErrors.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        transition: str = "unitary",
        start: str = "orthogonal",
        **options: Any,
    ) -> None:
        paired = nonlinearity == PAIRED
        if nonlinearity not in (*_OF_TORCH, PAIRED):
            known = ", ".join((*_OF_TORCH, PAIRED))
            raise ArgumentError(f"nonlinearity must be one of {known}, but it is {nonlinearity!r}")
        if paired and hidden_size % 2:
            raise ArgumentError(f"{PAIRED} needs an even hidden_size, but it is {hidden_size}")
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            "tanh" if paired else nonlinearity,
            bias=bias and not paired,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )
        self.transition, self.start = transition, start
        if paired:
            self._take_pairs()
        for names in self._all_weights:
            constrain(self, names[1], transition, start, **options)

    def _take_pairs(self) -> None:
        """modrelu, and its bias for each layer and direction."""
        self.nonlinearity, self.mode = PAIRED, f"RNN_{PAIRED}".upper()
        for names in self._all_weights:
            name = names[1].replace("weight_hh", f"{PAIRED}_bias")
            W = getattr(self, names[1])
            setattr(self, name, Parameter(W.new_zeros(self.hidden_size // 2)))
            names.append(name)

    def _by_torch(self, input: Any, hx: Any) -> Any:
        """By the operators where torch has no such activation."""
        return run(self, input, hx) if self.nonlinearity == PAIRED else super()._by_torch(input, hx)

    def __prepare_scriptable__(self) -> Any:
        if self.nonlinearity == PAIRED:
            raise ArgumentError(f"torch.jit.script knows no {PAIRED}; use torch.export")
        return super().__prepare_scriptable__()

    def reset_parameters(self) -> None:
        """As torch's, and the transitions are drawn again; the bias of modrelu is 0."""
        super().reset_parameters()
        if hasattr(self, "start"):
            redraw(self, self.start)
            for name, parameter in self.named_parameters():
                if name.startswith(PAIRED):
                    torch.nn.init.zeros_(parameter)

    def constraint_error(self) -> float:
        """How far the transitions are from their set, the largest; see `constraint_error`."""
        return constraint_error(self)

    def extra_repr(self) -> str:
        """torch's, and the set."""
        return f"{super().extra_repr()}, transition={self.transition}"
