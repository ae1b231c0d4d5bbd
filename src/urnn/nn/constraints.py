"""A square weight of any torch module, kept in a set of transitions.

The sets are those of `urnn.transition`. Some are trained by parameters p of their own, from which
the weight W follows, through `torch.nn.utils.parametrize`; every optimizer keeps those. In the
others the optimizer moves W, and `retract_` brings it back after each step, as the workflow's
training does (`urnn.training`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.utils import parametrize

from urnn.errors import ArgumentError
from urnn.matrices import real_form
from urnn.transition import POINT
from urnn.transition.base import STARTS, Transition
from urnn.transition.parametrised import Parametrised

#: where a module keeps its constraints, by the name of the weight
_CONSTRAINTS = "_urnn_constraints"


@cache
def _transition(key: str) -> Transition:
    options = json.loads(key)
    return POINT.make(options.pop(POINT.key), **options)


def _member(p: Tensor, transition: str, hidden_units: int) -> Tensor:
    """W (R, n, n) of p (R, P), under autograd; the set goes in as the text of its settings."""
    found = _transition(transition)
    if not isinstance(found, Parametrised):
        W: Tensor = found.matrix(p, hidden_units, torch)[0]
        return W
    # `matrix` would hand out the derivative apart
    real, imaginary = found.product(p, hidden_units)
    W = real if imaginary is None else real_form(real, imaginary, torch)
    return W


# schemas in words: torch before 2.5 reads no annotations that are text


@torch.library.custom_op(
    "urnn::member", mutates_args=(), schema="(Tensor p, str transition, int hidden_units) -> Tensor"
)
def member_op(p: Tensor, transition: str, hidden_units: int) -> Tensor:
    """`_member` as an operator, for torch.compile."""
    return _member(p, transition, hidden_units).clone()


@torch.library.custom_op(
    "urnn::member_backward",
    mutates_args=(),
    schema="(Tensor p, Tensor gradient, str transition, int hidden_units) -> Tensor",
)
def member_backward_op(p: Tensor, gradient: Tensor, transition: str, hidden_units: int) -> Tensor:
    """The gradient of p from that of W."""
    pull: Any = torch.func.vjp(lambda p: _member(p, transition, hidden_units), p)[1]
    found: Tensor = pull(gradient)[0]
    return found.clone()


@member_op.register_fake
def _(p: Tensor, transition: str, hidden_units: int) -> Tensor:
    return p.new_empty(len(p), hidden_units, hidden_units)


@member_backward_op.register_fake
def _(p: Tensor, gradient: Tensor, transition: str, hidden_units: int) -> Tensor:
    return p.new_empty(p.shape)


def _keep_p(ctx: Any, inputs: Any, output: Tensor) -> None:
    p, ctx.transition, ctx.hidden_units = inputs
    ctx.save_for_backward(p)


def _member_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    (p,) = ctx.saved_tensors
    return member_backward_op(p, gradient, ctx.transition, ctx.hidden_units), None, None


member_op.register_autograd(_member_gradient, setup_context=_keep_p)


class FromParameters(Module):
    """W of p, for `torch.nn.utils.parametrize`; what of p is not trained is a buffer."""

    fixed: Tensor

    def __init__(self, transition: Transition, hidden_units: int, p: Tensor) -> None:
        super().__init__()
        self.transition, self.hidden_units = transition, hidden_units
        self.key = transition.model_dump_json()
        count = p.numel()
        if isinstance(transition, Parametrised):
            # an optimizer with weight decay would change what has no gradient
            count = transition.degrees_of_freedom(hidden_units)
        self.register_buffer("fixed", p[count:].clone())
        self._start: Tensor | None = p[:count].clone()

    def forward(self, trained: Tensor) -> Tensor:
        """W (n, n) of the trained part of p."""
        p = torch.cat([trained, self.fixed])[None]
        # dynamo cannot look into those that compute with numpy on their way
        make = member_op if torch.compiler.is_compiling() else _member
        W: Tensor = make(p, self.key, self.hidden_units)
        return W[0]

    def right_inverse(self, W: Tensor) -> Tensor:
        """p where the constraint begins; a weight cannot be assigned."""
        if self._start is None:
            raise NotImplementedError(
                f"a weight in the set {self.transition.transition} cannot be assigned: load p, "
                "its parameters, from a state_dict"
            )
        start, self._start = self._start, None
        return start


def constrain(
    module: Module, name: str, transition: str, start: str | None = None, **options: Any
) -> Module:
    """Keep the weight ``name`` of a module in a set of transitions; returns the module.

    Args:
        module: any module, such as a cell of one's own.
        name: of its parameter W (n, n), real.
        transition: the set, by its name in `urnn.transition`.
        start: "orthogonal" draws W (with torch's random numbers), "identity" is W = I; None keeps
            the nearest W of the sets that are trained by W itself, and draws W of the others.
        options: of the set, such as field="complex".

    Raises:
        ArgumentError: W is no real square matrix, or is constrained already; the set has none of
            this size, or there is no such start.
        ConfigError: there is no such set, or no such option. Both are ValueErrors.
    """
    found = POINT.make(transition, **options)
    W = getattr(module, name, None)
    if not isinstance(W, Tensor) or W.ndim != 2 or W.shape[0] != W.shape[1] or W.is_complex():
        shape = tuple(W.shape) if isinstance(W, Tensor) else type(W).__name__
        raise ArgumentError(f"{name} must be a real square matrix, but it is {shape}")
    if name in module.__dict__.get(_CONSTRAINTS, {}) or parametrize.is_parametrized(module, name):
        raise ArgumentError(f"{name} is constrained or parametrized already; do so once")
    problem = found.size_problem(len(W))
    if problem:
        raise ArgumentError(f"{name}: {problem}")
    if start not in (None, *STARTS):
        raise ArgumentError(f"start must be one of {', '.join(STARTS)}, but it is {start!r}")
    if found.direct:
        with torch.no_grad():
            W.copy_(_projected(found, W) if start is None else _drawn(found, W, start).view_as(W))
    else:
        p = _drawn(found, W, start or "orthogonal")
        made = FromParameters(found, len(W), p)
        parametrize.register_parametrization(module, name, made, unsafe=True)
        if not isinstance(found, Parametrised):
            module.register_buffer(f"{name}_before", p.clone(), persistent=False)
            module.register_load_state_dict_post_hook(_loaded)
    module.__dict__.setdefault(_CONSTRAINTS, {})[name] = found
    return module


def _drawn(transition: Transition, W: Tensor, start: str) -> Tensor:
    """p (P,) of a new member, by numpy's generator with a seed of torch's."""
    random = np.random.default_rng(int(torch.randint(2**62, (), device="cpu")))
    p = transition.initialise(random, len(W), start)
    # rounded to the type of W, and in the set again; numpy has no bfloat16
    kind = np.float64 if W.dtype == torch.float64 else np.float32
    return torch.as_tensor(transition.enter(p.astype(kind)[None], len(W), np)[0]).to(W)


def _projected(transition: Transition, W: Tensor) -> Tensor:
    p = W.detach().reshape(1, -1).clone()
    moved: Tensor = transition.enter(p, len(W), torch)
    return moved.view_as(W)


def redraw(module: Module, start: str) -> None:
    """Draw the constrained weights of a module again."""
    for name, transition in module.__dict__.get(_CONSTRAINTS, {}).items():
        with torch.no_grad():
            if transition.direct:
                W = getattr(module, name)
                W.copy_(_drawn(transition, W, start).view_as(W))
                continue
            made: Any = module.get_submodule(f"parametrizations.{name}")
            original, fixed = made.original, made[0].fixed
            like = original.new_empty(made[0].hidden_units, 1)
            p = _drawn(transition, like, start)
            original.copy_(p[: len(original)])
            fixed.copy_(p[len(original) :])
        _loaded(module)


def _loaded(module: Module, *_: Any) -> None:
    """The next step starts from the values that are there now."""
    for name in module.__dict__.get(_CONSTRAINTS, {}):
        before = getattr(module, f"{name}_before", None)
        if before is not None:
            before.copy_(module.get_parameter(_trained(module, name)).detach())


def _trained(module: Module, name: str) -> str:
    """The name of the parameter that an optimizer moves."""
    if parametrize.is_parametrized(module, name):
        return f"parametrizations.{name}.original"
    return name


@torch.no_grad()
def retract_(model: Module, stacked: Mapping[str, Tensor] | None = None) -> None:
    """Bring every constrained weight of a model back into its set; after ``optimizer.step()``.

    Of the sets that are trained by W itself: the nearest member (`Transition.retract`). The
    multiplicative ones take their step along the set by the optimizer's change. Nothing is left to
    do for those with parameters of their own. A weight that is not finite stays as it is.

    Args:
        model: any module.
        stacked: the parameters and buffers by name, each (R, ...), of an ensemble of R such models,
            which are then those that are moved; `torch.func.stack_module_state` gives them.
    """
    for prefix, module in model.named_modules():
        for name, transition in module.__dict__.get(_CONSTRAINTS, {}).items():
            if isinstance(transition, Parametrised):
                continue
            own = _trained(module, name)
            now, before = (
                _tensor(module, each, prefix, stacked) for each in (own, f"{name}_before")
            )
            assert now is not None
            _move(transition, now, before, getattr(module, name).shape[-1])


def _tensor(
    module: Module, name: str, prefix: str, stacked: Mapping[str, Tensor] | None
) -> Tensor | None:
    """A parameter or buffer of an ensemble, or of one model as an ensemble, (R, ...)."""
    if stacked is not None:
        return stacked.get(f"{prefix}.{name}" if prefix else name)
    path, _, last = name.rpartition(".")
    found: Tensor | None = getattr(module.get_submodule(path), last, None)
    return None if found is None else found[None]


def _move(transition: Transition, now: Tensor, before: Tensor | None, units: int) -> None:
    """Retract the members of a stack that are finite."""
    finite = now.flatten(1).isfinite().all(1)
    p = _wide(now[finite].flatten(1))
    if before is None:
        moved = transition.retract(p, torch.zeros_like(p), units, torch)
    else:
        start = _wide(before[finite].flatten(1))
        moved = transition.retract(start, p - start, units, torch)
        before[finite] = moved.view_as(before[finite]).to(before.dtype)
    now[finite] = moved.view_as(now[finite]).to(now.dtype)


def _wide(values: Tensor) -> Tensor:
    """At least float32: torch has no decompositions of narrower matrices."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def retract_after(
    optimizer: torch.optim.Optimizer, model: Module, stacked: Mapping[str, Tensor] | None = None
) -> Any:
    """Call `retract_` after every step of an optimizer; returns torch's handle, to remove it."""
    return optimizer.register_step_post_hook(lambda *_: retract_(model, stacked))


@torch.no_grad()
def constraint_error(model: Module) -> float:
    """How far the constrained weights of a model are from their sets, the largest; 0 inside.

    Of unitary sets ||W^T W - I||_2, of contractive ones max(||W||_2 - 1, 0).
    """
    errors = [
        float(transition.constraint_error(_wide(getattr(module, name)[None]), torch)[0])
        for module in model.modules()
        for name, transition in module.__dict__.get(_CONSTRAINTS, {}).items()
    ]
    return max(errors, default=0.0)
