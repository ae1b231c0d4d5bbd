"""`RNN`, `LSTM` and `GRU`: torch.nn's modules on the compiled kernels.

    RNN:   h_t = phi(W_hh h_{t-1} + b_hh + W_ih x_t + b_ih), phi = tanh or relu
    LSTM:  as `urnn.recurrence.function.lstm`, with W = W_hh, F = W_ih, b = b_ih + b_hh
    GRU:   as `urnn.recurrence.function.gru`, with W = W_hh, F = W_ih, b = b_ih, b_h = b_hh

Constructor, initialisation, state_dict, results and errors are torch's, the results within float32
rounding. float32 on the CPU or an NVIDIA GPU takes the kernels, through the operators of
`urnn.recurrence.operators`, and everything else torch's own forward. They are of torch's class
RNNBase, and not of its RNN, LSTM and GRU: torch.compile refuses every instance of those. The
equations are those of torch's (https://pytorch.org/docs/stable/nn.html#recurrent-layers).
"""

from __future__ import annotations

import copy
import itertools
import typing
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence

from urnn.errors import ArgumentError
from urnn.nn.packed import MARKED, Lengths, unpack
from urnn.recurrence.cells import POINT
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.operators import in_func, key_of, stack_states, takes_kernels


class Range(NamedTuple):
    """Sizes at which the kernels take less time than torch's forward, see `benchmarks.layers`."""

    #: at most
    hidden_units: int
    #: at least: a call of the kernels costs as much as so many steps of torch's loop
    steps: int
    #: at least this share of the vectors' lanes has a trial of the batch
    filled: float


#: outside of it torch computes
PLAIN = Range(1024, 24, 0.0)
#: the same on a GPU, whose blocks have threads for so many
ON_GPU = Range(256, 24, 0.0)
#: the same where torch has its LSTM from oneDNN, which leaves the kernels less to gain
ONEDNN = {"LSTM": Range(128, 100, 0.9)} if torch.backends.mkldnn.is_available() else {}
#: the activation of complex units, in pairs, which torch has not
PAIRED = "modrelu"


def _cells() -> dict[str, Cell]:
    """The cell of each `mode` of torch's modules."""
    others = {name.upper(): POINT.make(name) for name in POINT if name != POINT.default}
    assert POINT.default is not None
    plain = {
        f"{POINT.default}_{phi}".upper(): POINT.make(POINT.default, activation=phi)
        for phi in ("tanh", "relu", PAIRED)
    }
    return plain | others


#: torch's forwards take any module with torch's attributes
_FORWARD: dict[str, Any] = {
    kind.__name__: kind.forward for kind in (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU)
}
_KEYS = {mode: key_of(cell) for mode, cell in _cells().items()}
#: rows of the weights for a hidden unit, and the modes whose recurrent side has a bias of its own
_ROWS = {mode: cell.gates for mode, cell in _cells().items()}
_SPLIT = {mode for mode, cell in _cells().items() if cell.split}


class _Layer(torch.nn.RNNBase):
    """What the layers have in common: torch's forward and torch's class where they are needed."""

    def _by_torch(self, input: Any, hx: Any) -> Any:
        """torch's own forward, which also says what is wrong."""
        return _FORWARD[_kind(self)](self, input, hx)

    def __prepare_scriptable__(self) -> Any:
        # torch.jit.script knows torch's own class, with the same parameters
        theirs = copy.copy(self)
        theirs.__class__ = getattr(torch.nn, _kind(self))
        return theirs


def _kind(module: Any) -> str:
    """The name of torch's class, of a mode such as RNN_TANH."""
    return str(module.mode).partition("_")[0]


class _OneState(_Layer):
    """The forward of the layers that have no cell state."""

    @overload
    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]: ...

    @overload
    def forward(
        self, input: PackedSequence, hx: Tensor | None = None
    ) -> tuple[PackedSequence, Tensor]: ...

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(output, h_n) as torch.nn.RNN; T steps, B trials, m inputs, n units, L layers, D ways.

        Args:
            input: (T, B, m), (B, T, m) with batch_first, (T, m) of one trial, or a PackedSequence.
            hx: h_0 (L D, B, n), or (L D, n) of one trial; zeros when it is None.

        Returns:
            output (T, B, D n), (B, T, D n) or (T, D n), and h_n in the shape of h_0. D is 2 with
            bidirectional, and else 1.

        Raises:
            ValueError, RuntimeError: torch's, where a shape, type or device does not fit.
        """
        found = _by_kernels(self, input, None if hx is None else (hx,))
        return self._by_torch(input, hx) if found is None else (found[0], found[1][0])

    if typing.TYPE_CHECKING:
        __call__ = forward


class RNN(_OneState):
    """torch.nn.RNN on the kernels: h_t = phi(W_hh h_{t-1} + b_hh + W_ih x_t + b_ih).

    Arguments, parameters and errors are torch's: num_layers, nonlinearity, bias, batch_first,
    dropout, bidirectional, device and dtype.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if len(args) > 3:
            self.nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            self.nonlinearity = kwargs.pop("nonlinearity", "tanh")
        # refuses what torch refuses, in torch's words
        torch.nn.RNN(1, 1, device="meta", nonlinearity=self.nonlinearity, **_projection(kwargs))
        super().__init__(f"RNN_{self.nonlinearity.upper()}", *args, **kwargs)


class LSTM(_Layer):
    """torch.nn.LSTM on the kernels, with torch's own forward for proj_size.

    Arguments, parameters and errors are torch's.
    """

    get_expected_cell_size = torch.nn.LSTM.get_expected_cell_size
    check_forward_args: Any = torch.nn.LSTM.check_forward_args
    permute_hidden: Any = torch.nn.LSTM.permute_hidden

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    @overload
    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]: ...

    @overload
    def forward(
        self, input: PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[PackedSequence, tuple[Tensor, Tensor]]: ...

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(output, (h_n, c_n)) as torch.nn.LSTM; letters, shapes and errors as of `RNN.forward`.

        Args:
            input: as of `RNN.forward`.
            hx: (h_0, c_0), each (L D, B, n), or (L D, n) of one trial; zeros when it is None.

        Returns:
            output, and h_n and c_n in the shape of h_0.
        """
        found = _by_kernels(self, input, hx)
        return self._by_torch(input, hx) if found is None else found

    if typing.TYPE_CHECKING:
        __call__ = forward


class GRU(_OneState):
    """torch.nn.GRU on the kernels. Arguments, parameters and errors are torch's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        torch.nn.GRU(1, 1, device="meta", **_projection(kwargs))
        super().__init__("GRU", *args, **kwargs)


def _projection(arguments: dict[str, Any]) -> dict[str, Any]:
    """What torch's RNN and GRU refuse, if it is there."""
    return {name: arguments[name] for name in ("proj_size",) if name in arguments}


def _by_kernels(module: Any, input: Any, hx: Any) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """Output and last states, or None where torch's forward must compute, or say what is wrong."""
    if torch.jit.is_tracing() or torch.onnx.is_in_onnx_export():
        return None  # other runtimes know torch's operators
    if module.proj_size:
        return None
    if isinstance(input, PackedSequence):
        return _of_packed(module, input, hx)
    if not isinstance(input, Tensor) or input.ndim not in (2, 3):
        return None
    weights = _weights(module)
    key, x = _KEYS[module.mode], input
    if input.ndim == 2:
        x = input[None]
    elif not module.batch_first:
        x = input.transpose(0, 1)
    states = _initial(module, input.ndim == 2, x, hx)
    if states is None or not _fits(module, x, states, weights):
        return None
    # within torch.func the operator computes what torch's forward cannot, by a loop if need be
    if not in_func() and not (
        _pays(module, x.shape[0], x.shape[1], x.device) and takes_kernels(key, x)
    ):
        return None
    return _arranged(module, input, x, states, weights)


def _range(module: Any, device: torch.device) -> Range:
    return ONEDNN.get(module.mode, PLAIN) if device.type == "cpu" else ON_GPU


def _pays(module: Any, batch: int, steps: int, device: torch.device) -> bool:
    """Whether the kernels are faster than torch's forward, as far as the sizes tell."""
    wanted = _range(module, device)
    if module.hidden_size > wanted.hidden_units:
        return False
    # a compiled graph is of every length, and a GPU has no lanes to fill
    if torch.compiler.is_compiling() or device.type != "cpu":
        return True
    if steps < wanted.steps or not wanted.filled:
        return steps >= wanted.steps
    from urnn.recurrence.vector import LANES  # llvmlite, which nobody else needs so early

    return batch >= wanted.filled * -(-batch // LANES) * LANES


def run(module: Any, input: Any, hx: Any) -> tuple[Any, Tensor]:
    """(output, h_n) by the operators, of a module that torch has no forward for.

    Raises:
        ValueError, RuntimeError: torch's, where a shape or type does not fit.
    """
    given = None if hx is None else (hx,)
    if isinstance(input, PackedSequence):
        found = _of_packed(module, input, given, always=True)
        if found is None:
            raise ArgumentError("the packed input or hx is of another shape, type or device")
        return found[0], found[1][0]
    if input.ndim not in (2, 3):
        raise ArgumentError(f"RNN: Expected input to be 2D or 3D, got {input.ndim}D tensor instead")
    batched = input if input.ndim == 3 else input.unsqueeze(0 if module.batch_first else 1)
    x = batched if module.batch_first else batched.transpose(0, 1)
    states = _initial(module, input.ndim == 2, x, given)
    module.check_forward_args(batched, hx if states is None else states[0], None)
    if x.shape[1] == 0:
        raise ArgumentError("input has no time step, and the states need one")
    if states is None:
        raise ArgumentError("hx must have as many dimensions as input")
    output, last = _arranged(module, input, x, states, _weights(module))
    return output, last[0]


def _arranged(
    module: Any, input: Tensor, x: Tensor, states: list[Tensor], weights: list[list[Tensor]]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The results of the layers in the order of torch's."""
    output, last = _layers(module, _KEYS[module.mode], x, states, weights)
    if input.ndim == 2:
        return output[0], tuple(state[:, 0] for state in last)
    return output if module.batch_first else output.transpose(0, 1).contiguous(), last


def _of_packed(module: Any, input: PackedSequence, hx: Any, always: bool = False) -> Any:
    """`_by_kernels` of trials of unequal lengths; ``always`` where torch has no forward."""
    key, data = _KEYS[module.mode], input.data
    if data.ndim != 2 or in_func() or torch.compiler.is_compiling():
        return None
    batch, steps = int(input.batch_sizes[0]), len(input.batch_sizes)
    pays = always or _pays(module, batch, steps, data.device)
    if not always and not (pays and takes_kernels(key, data[None, None])):
        return None
    x, lengths = unpack(input)
    states, weights = _initial(module, False, x, hx), _weights(module)
    if states is None or not _fits(module, x, states, weights):
        return None
    if input.sorted_indices is not None and hx is not None:
        states = [state.index_select(1, input.sorted_indices) for state in states]
    output, last = _layers(module, key, x, states, weights, lengths)
    if input.unsorted_indices is not None:
        last = tuple(state.index_select(1, input.unsorted_indices) for state in last)
    return PackedSequence(lengths.data(output), *input[1:]), last


def _weights(module: Any) -> list[list[Tensor]]:
    """Of each layer and direction, in torch's order."""
    return [[getattr(module, name) for name in names] for names in module._all_weights]


def _initial(module: Any, single: bool, x: Tensor, hx: Any) -> list[Tensor] | None:
    """The initial states (L D, B, n), each of them, or None if they do not fit."""
    number = 2 if isinstance(module, LSTM) else 1
    shape: tuple[int, ...] = (len(module._all_weights), x.shape[0], module.hidden_size)
    if hx is None:
        return [x.new_zeros(shape) for _ in range(number)]
    given = shape[::2] if single else shape
    if not isinstance(hx, tuple | list) or len(hx) != number:
        return None
    if not all(isinstance(state, Tensor) and state.shape == given for state in hx):
        return None
    return [state[:, None] for state in hx] if single else list(hx)


def _fits(module: Any, x: Tensor, states: list[Tensor], weights: list[list[Tensor]]) -> bool:
    """Whether the kernels' equations, shapes and types are meant."""
    like, n = (x.dtype, x.device), module.hidden_size
    others = [*states, *itertools.chain(*weights)]
    rows = _ROWS[module.mode] * n
    for number, (of_input, W, *biases) in enumerate(weights):
        ways = 2 if module.bidirectional else 1
        inputs = module.input_size if number < ways else ways * n
        if (of_input.shape, W.shape) != ((rows, inputs), (rows, n)):
            return False
        if len(biases) == 2 and any(bias.shape != (rows,) for bias in biases):
            return False
    if x.shape[-1] != module.input_size or 0 in x.shape or not x.dtype.is_floating_point:
        return False
    if any((tensor.dtype, tensor.device) != like for tensor in others):
        return False
    if x.is_nested or x.layout != torch.strided:
        return False
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return False
    # forward-mode derivatives are torch's
    return forward_ad._current_level < 0


def _layers(
    module: Any,
    key: str,
    x: Tensor,
    states: list[Tensor],
    weights: list[list[Tensor]],
    lengths: Lengths | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output (B, T, D n) and last states (L D, B, n) from x (B, T, m); both ways are one stack."""
    ways = 2 if module.bidirectional else 1
    marked = lengths is not None and module.mode in MARKED
    reverse = (lambda x: x.flip(1)) if lengths is None else lengths.reverse
    lasts = []
    for first in range(0, len(weights), ways):
        rows = [_row(module, each, marked) for each in weights[first : first + ways]]
        xs, theta = _stacked([x, reverse(x)] if ways == 2 else [x]), _stacked(rows)
        if lengths is not None and marked:
            xs = lengths.marked(xs)
        h_init, *c_init = (state[first : first + ways] for state in states)
        h, c = stack_states(key, theta, xs, h_init, c_init[0] if c_init else None)
        last = h[:, :, -1] if lengths is None else lengths.last(h)
        lasts.append([last, c][: len(states)])
        # the gradient of h[0] would be written into zeros of the size of h
        x = torch.cat([h[0], reverse(h[1])], -1) if ways == 2 else h.squeeze(0)
        if module.dropout and module.training and first + ways < len(weights):
            x = _dropped(x, module.dropout, lengths)
    return x, tuple(_joined(parts) for parts in zip(*lasts, strict=True))


def _stacked(tensors: list[Tensor]) -> Tensor:
    """torch.stack, of one tensor without a copy."""
    return torch.stack(tensors) if len(tensors) > 1 else tensors[0].unsqueeze(0)


def _joined(tensors: tuple[Tensor, ...]) -> Tensor:
    """torch.cat; a copy also of one tensor, so that no last state is a view of the output."""
    if len(tensors) > 1:
        return torch.cat(tensors)
    return tensors[0].clone(memory_format=torch.contiguous_format)


def _dropped(x: Tensor, probability: float, lengths: Lengths | None) -> Tensor:
    """Dropout of x (B, T, n), drawn as torch does: with time first, or packed."""
    dropout = torch.nn.functional.dropout
    if lengths is not None:
        return lengths.padded(dropout(lengths.data(x), probability))
    return dropout(x.transpose(0, 1).contiguous(), probability).transpose(0, 1)


def _row(module: Any, weights: list[Tensor], marked: bool = False) -> Tensor:
    """theta (K,) of one layer and direction, from its weights in torch's order."""
    of_input, W, *biases = weights
    if marked:
        of_input = MARKED[module.mode](of_input, module.hidden_size)
    if not biases:
        biases = [W.new_zeros(len(W))] * 2
    if len(biases) == 2 and module.mode not in _SPLIT:
        biases = [biases[0] + biases[1]]
    return torch.cat([W.flatten(), of_input.flatten(), *biases])


@torch.inference_mode(False)
def prepare(module: torch.nn.Module, batch: int, replicas: int = 1) -> None:
    """Compile the kernels of the layers in a module for a batch, and keep them for every process.

    Without it the first call for a size does so, which the logger "urnn" says.

    Args:
        module: any module with layers of this package, in training or evaluation.
        batch: number of trials B; trials may be of any length.
        replicas: number of modules that torch.func.vmap will compute as one stack.
    """
    for layer in module.modules():
        key = _KEYS.get(getattr(layer, "mode", ""))
        if not isinstance(layer, RNN | LSTM | GRU) or key is None:
            continue
        for names in layer._all_weights[:: 2 if layer.bidirectional else 1]:
            weights = [getattr(layer, name).detach() for name in names]
            size = replicas * (2 if layer.bidirectional else 1)
            x = weights[0].new_zeros(size, batch, 2, weights[0].shape[1])
            larger = layer.hidden_size > _range(layer, x.device).hidden_units
            if larger or layer.proj_size or not takes_kernels(key, x):
                continue
            theta = _row(layer, weights).expand(size, -1).clone().requires_grad_()
            h = x.new_zeros(size, batch, layer.hidden_size)
            with torch.enable_grad():
                states, _ = stack_states(key, theta, x, h, h if isinstance(layer, LSTM) else None)
                states.sum().backward()
