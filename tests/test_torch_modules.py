"""torch's own module tests, with the entries of its module database, run against `urnn.nn`.

The inputs are those of `torch.testing._internal.common_modules`; the tests are those of torch's
test/test_modules.py. Double precision takes torch's path, single precision the kernels. Skipped, of
torch's tests: test_cpu_gpu_parity and test_multiple_device_transfer without a GPU, and
test_check_inplace and test_errors, for which the database has no entry of a recurrent layer.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree

import urnn.nn

pytest.importorskip("expecttest", reason="torch's own tests need it")
pytest.importorskip("torch.testing._internal.common_modules")
from torch.testing._internal import common_modules
from torch.testing._internal.common_utils import freeze_rng_state

LAYERS: dict[Any, Any] = {
    torch.nn.RNN: urnn.nn.RNN,
    torch.nn.LSTM: urnn.nn.LSTM,
    torch.nn.GRU: urnn.nn.GRU,
}
INFOS = [info for info in common_modules.module_db if info.module_cls in LAYERS]
DTYPES = [torch.float32, torch.float64]
pytestmark = [
    pytest.mark.usefixtures("by_kernels"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    """torch's test utilities forbid an assignment to the flags of backends when imported."""
    torch.backends.__dict__["__allow_nonbracketed_mutation_flag"] = True
    torch.manual_seed(0)
    yield


@pytest.fixture(params=INFOS, ids=lambda info: info.module_cls.__name__)
def info(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture(params=[True, False], ids=["train", "eval"])
def training(request: pytest.FixtureRequest) -> bool:
    return request.param


def samples(
    info: Any, dtype: torch.dtype, training: bool = True, requires_grad: bool = False,
    device: str = "cpu", packed: bool = True,
) -> Iterator[tuple[Any, Any, Any]]:  # fmt: skip
    """(our module, the positional arguments of its forward, torch's sample)."""
    options = {"with_packed_sequence": True} if packed else {}
    inputs = info.module_inputs_func(
        info, device=device, dtype=dtype, requires_grad=requires_grad, training=training, **options
    )
    for sample in inputs:
        made = sample.constructor_input
        module = LAYERS[info.module_cls](*made.args, **made.kwargs, device=device, dtype=dtype)
        module.train(training)
        assert not sample.forward_input.kwargs
        yield module, sample.forward_input.args, sample


def tensors_of(values: Any) -> list[Tensor]:
    """The floating point tensors of any arguments or results."""
    flat, _ = _pytree.tree_flatten(values)
    flat = [part for one in flat for part in (one if isinstance(one, tuple) else [one])]
    return [one for one in flat if isinstance(one, Tensor) and one.is_floating_point()]


def close(ours: Any, theirs: Any) -> None:
    mine, right = tensors_of(ours), tensors_of(theirs)
    assert len(mine) == len(right) > 0
    torch.testing.assert_close(mine, right)


def test_forward(info: Any, dtype: torch.dtype, training: bool) -> None:
    """Against the reference function of the entry, and against torch's module."""
    for module, args, sample in samples(info, dtype, training):
        with freeze_rng_state():
            output = module(*args)
        theirs = info.module_cls(
            *sample.constructor_input.args, **sample.constructor_input.kwargs, dtype=dtype
        )
        theirs.load_state_dict(module.state_dict())
        close(output, theirs.train(training)(*args))
        if sample.reference_fn is not None and isinstance(args[0], Tensor):
            close(output, sample.reference_fn(module, *args))


def test_factory_kwargs(info: Any, dtype: torch.dtype) -> None:
    """Parameters are of the type and on the device that are asked for."""
    for _, _, sample in samples(info, dtype):
        made = sample.constructor_input
        for device in ("cpu", "meta"):
            module = LAYERS[info.module_cls](*made.args, **made.kwargs, device=device, dtype=dtype)
            for parameter in module.parameters():
                assert (parameter.device.type, parameter.dtype) == (device, dtype)


def test_repr(info: Any) -> None:
    for module, _, sample in samples(info, torch.float32):
        theirs = info.module_cls(*sample.constructor_input.args, **sample.constructor_input.kwargs)
        assert repr(module) == str(module) == repr(theirs)


def test_save_load_and_pickle(info: Any, dtype: torch.dtype, training: bool) -> None:
    for module, args, _ in samples(info, dtype, training):
        output = module(*args)
        buffer = io.BytesIO()
        torch.save(module, buffer)
        buffer.seek(0)
        loaded = torch.load(buffer, weights_only=False)
        for copied in (loaded, pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
            assert type(copied) is type(module)
            assert copied.training == training
            close(copied(*args), output)


def test_state_dict_strict_and_assigned(info: Any, dtype: torch.dtype) -> None:
    for module, args, sample in samples(info, dtype):
        theirs = info.module_cls(
            *sample.constructor_input.args, **sample.constructor_input.kwargs, dtype=dtype
        )
        assert list(module.state_dict()) == list(theirs.state_dict())
        for assign in (False, True):
            module.load_state_dict(theirs.state_dict(), assign=assign)
            close(module(*args), theirs(*args))
        with pytest.raises(RuntimeError, match="Missing key"):
            module.load_state_dict({})


def noncontiguous(tensor: Tensor) -> Tensor:
    """The same values with gaps in memory."""
    wide = torch.repeat_interleave(tensor, 2, dim=-1).detach()
    return wide[..., ::2].requires_grad_(tensor.requires_grad)


def test_non_contiguous_tensors(info: Any, dtype: torch.dtype, training: bool) -> None:
    for module, args, _ in samples(info, dtype, training, requires_grad=True, packed=False):
        others = _pytree.tree_map(noncontiguous, args)
        found = []
        for given in (args, others):
            leaves = [*tensors_of(given), *module.parameters()]
            output = tensors_of(module(*given))
            weights = [torch.arange(o.numel(), dtype=dtype).view_as(o).cos() for o in output]
            found.append([*output, *torch.autograd.grad(output, leaves, weights)])
            # gradients that are not contiguous either
            output = tensors_of(module(*given))
            weights = [noncontiguous(weight) for weight in weights]
            found.append([*output, *torch.autograd.grad(output, leaves, weights)])
        for each in found[1:]:
            torch.testing.assert_close(each, found[0])


@pytest.mark.parametrize("second", [False, True], ids=["grad", "gradgrad"])
def test_grad(info: Any, second: bool) -> None:
    """torch's gradient checks, in double precision; no entry has dropout, so one mode is enough."""
    check: Any = torch.autograd.gradgradcheck if second else torch.autograd.gradcheck
    every = list(samples(info, torch.float64, requires_grad=True))
    assert all(module.dropout == 0 for module, _, _ in every)
    for module, args, _ in every:
        parameters = tuple(module.parameters())
        leaves = [one for one in _pytree.tree_leaves(args) if isinstance(one, Tensor)]
        leaves = [one for one in leaves if one.is_floating_point() and one.is_leaf]

        def function(*values: Tensor, module: Any = module, args: Any = args) -> Any:
            return tuple(tensors_of(module(*args)))

        with freeze_rng_state():
            assert check(function, (*leaves, *parameters), check_batched_grad=False, fast_mode=True)


@pytest.mark.parametrize("second", [False, True], ids=["grad", "gradgrad"])
def test_grad_of_the_kernels(info: Any, training: bool, second: bool) -> None:
    """Not among torch's tests: single precision against torch's module in double precision."""
    for module, args, sample in samples(info, torch.float32, training, True, packed=False):
        theirs = info.module_cls(
            *sample.constructor_input.args, **sample.constructor_input.kwargs, dtype=torch.float64
        )
        theirs.load_state_dict(module.state_dict())
        found = []
        for each in (module, theirs.train(training)):
            kind = each.weight_hh_l0.dtype
            given = _pytree.tree_map(lambda t, k=kind: t.detach().to(k).requires_grad_(), args)
            leaves = [*tensors_of(given), *each.parameters()]
            value = sum(output.sin().sum() for output in tensors_of(each(*given)))
            first = torch.autograd.grad(value, leaves, create_graph=second)
            if second:
                value = sum(one.square().sum() for one in first)
                first = torch.autograd.grad(value, leaves, allow_unused=True)
            found.append([torch.zeros(()) if one is None else one for one in first])
        # of all: one that vanishes through a saturated unit has lost its digits
        scale = max(exact.abs().max().item() for exact in found[1])
        for ours, exact in zip(*found, strict=True):
            assert (ours - exact).abs().max() <= 1e-4 * scale


def test_train_and_eval_modes(info: Any) -> None:
    """The database says that they may differ: by dropout, which torch draws as we do."""
    assert info.train_and_eval_differ
    for _, args, sample in samples(info, torch.float32, packed=False):
        options = {**sample.constructor_input.kwargs, "dropout": 0.5}
        ours, theirs = LAYERS[info.module_cls](**options), info.module_cls(**options)
        theirs.load_state_dict(ours.state_dict())
        for training in (True, False):
            results = []
            for module in (ours.train(training), theirs.train(training)):
                torch.manual_seed(5)
                results.append(module(*args))
            close(*results)


def test_memory_format(info: Any, training: bool) -> None:
    """Layers of two and three dimensions have one memory format, which a conversion keeps."""
    for module, args, _ in samples(info, torch.float32, training, packed=False):
        output = module(*args)
        converted = module.to(memory_format=torch.preserve_format)
        close(converted(*args), output)
        assert all(one.is_contiguous() for one in tensors_of(converted(*args))[1:])


@pytest.mark.parametrize("swap", [True, False])
def test_to(info: Any, swap: bool) -> None:
    """Another type and another device, with gradients, in place or by swapped tensors."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(swap)
    try:
        for module, args, _ in samples(info, torch.float32, packed=False):
            names = list(module.state_dict())
            sum(one.sum() for one in tensors_of(module(*args))).backward()
            double = module.to(torch.float64)
            assert double is module
            assert list(module.state_dict()) == names
            assert all(p.grad.dtype == torch.float64 for p in module.parameters())
            with torch.no_grad():
                output = module(*_pytree.tree_map(lambda t: t.double(), args))
            assert all(one.dtype == torch.float64 for one in tensors_of(output))
            module.zero_grad()
            module.to("meta").to_empty(device="cpu").float().reset_parameters()
            assert all(one.isfinite().all() for one in tensors_of(module(*args)))
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)


def test_errors_are_torchs(info: Any) -> None:
    """Whatever torch refuses, we refuse with the same type and the same words."""
    x = torch.zeros(5, 4, 2)
    state = torch.zeros(1, 4, 3)
    lstm = info.module_cls is torch.nn.LSTM
    hx: Any = (state, state) if lstm else state
    wrong: list[tuple[Any, ...]] = [
        (x[..., :1],), (x[None],), (x[0, 0],), (x[:0],), (x.double(),), (x.int(),), (None,),
        (x, state[:, :3] if not lstm else (state[:, :3], state)), (x, (state, None)), (x, (hx,)),
        (x[0], hx), (x, state[0]), (x, (state, state[..., :2])), (x, 3), (x.to("meta"),),
        (x, state.double() if not lstm else (state.double(), state)),
    ]  # fmt: skip
    pair = [kind(2, 3) for kind in (LAYERS[info.module_cls], info.module_cls)]
    for arguments in wrong:
        outcomes = []
        for module in pair:
            try:
                module(*arguments)
                outcomes.append((None, ""))
            except Exception as error:
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1], arguments
    for bad in (
        {"dropout": 2}, {"num_layers": 0}, {"hidden_size": 0}, {"hidden_size": 1.5},
        {"proj_size": 3}, {"proj_size": -1}, {"nonlinearity": "sigmoid"}, {"typo": 1},
    ):  # fmt: skip
        arguments = {"input_size": 2, "hidden_size": 3, **bad}
        raised = []
        for kind in (LAYERS[info.module_cls], info.module_cls):
            with pytest.raises((ValueError, TypeError)) as caught:
                kind(**arguments)
            raised.append((caught.type, str(caught.value)))
        assert raised[0] == raised[1]


@needs_gpu
def test_cpu_gpu_parity(info: Any, training: bool) -> None:
    for module, args, _ in samples(info, torch.float32, training, requires_grad=True):
        there = copy.deepcopy(module).to("cuda")
        moved = _pytree.tree_map(lambda one: one.detach().cuda().requires_grad_(), args)
        close([one.cpu() for one in tensors_of(there(*moved))], module(*args))
        for each, given in ((module, args), (there, moved)):
            sum(one.sum() for one in tensors_of(each(*given))).backward()
        close([p.grad.cpu() for p in there.parameters()], [p.grad for p in module.parameters()])


@needs_gpu
def test_multiple_device_transfer(info: Any) -> None:
    for module, args, _ in samples(info, torch.float32, packed=False):
        output = module(*args)
        moved = _pytree.tree_map(lambda one: one.cuda(), args)
        close([one.cpu() for one in tensors_of(module.cuda()(*moved))], output)
        close(module.cpu()(*args), output)
