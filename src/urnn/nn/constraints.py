"""A square weight of any torch module, kept in a set of transitions.

The sets are those of `urnn.transition`. Some are trained by parameters p of their own, from which
the weight W follows, through `torch.nn.utils.parametrize`; every optimizer keeps those. In the
others the optimizer moves W, and `retract_` brings it back after each step, as the workflow's
training does (`urnn.training`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.utils import parametrize

from urnn.errors import ArgumentError
from urnn.transition import POINT
from urnn.transition.base import Transition
from urnn.transition.parametrised import Parametrised

#: where a module keeps its constraints, by the name of the weight
_CONSTRAINTS = "_urnn_constraints"


class FromParameters(Module):
    """W of p, for `torch.nn.utils.parametrize`; what of p is not trained is a buffer."""

    fixed: Tensor

    def __init__(self, transition: Transition, hidden_units: int, p: Tensor) -> None:
        super().__init__()
        self.transition, self.hidden_units = transition, hidden_units
        count = p.numel()
        if isinstance(transition, Parametrised):
            # an optimizer with weight decay would change what has no gradient
            count = transition.degrees_of_freedom(hidden_units)
        self.register_buffer("fixed", p[count:].clone())
        self._start: Tensor | None = p[:count].clone()

    def forward(self, trained: Tensor) -> Tensor:
        """W (n, n) of the trained part of p."""
        p = torch.cat([trained, self.fixed])
        return self.transition.weight(p[None], self.hidden_units)[0]

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
        ArgumentError: W is no real square matrix, or the set has none of this size.
        ConfigError: there is no such set, or no such option. Both are ValueErrors.
    """
    found = POINT.make(transition, **options)
    W = getattr(module, name, None)
    if not isinstance(W, Tensor) or W.ndim != 2 or W.shape[0] != W.shape[1] or W.is_complex():
        shape = tuple(W.shape) if isinstance(W, Tensor) else type(W).__name__
        raise ArgumentError(f"{name} must be a real square matrix, but it is {shape}")
    problem = found.size_problem(len(W))
    if problem:
        raise ArgumentError(f"{name}: {problem}")
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
    random = np.random.default_rng(int(torch.randint(2**62, ())))
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
            before.copy_(_trained(module, name).detach())


def _trained(module: Module, name: str) -> Tensor:
    """The parameter that an optimizer moves."""
    if parametrize.is_parametrized(module, name):
        original: Any = module.get_submodule(f"parametrizations.{name}").original
        found: Tensor = original
        return found
    weight: Tensor = getattr(module, name)
    return weight


def _each(model: Module) -> Iterator[tuple[Module, str, Transition]]:
    for module in model.modules():
        for name, transition in module.__dict__.get(_CONSTRAINTS, {}).items():
            yield module, name, transition


@torch.no_grad()
def retract_(model: Module) -> None:
    """Bring every constrained weight of a model back into its set; after ``optimizer.step()``.

    Of the sets that are trained by W itself: the nearest member (`Transition.retract`). The
    multiplicative ones take their step along the set by the optimizer's change. Nothing is left to
    do for those with parameters of their own. A weight that is not finite stays as it is.
    """
    for module, name, transition in _each(model):
        if isinstance(transition, Parametrised):
            continue
        now = _trained(module, name)
        if not now.isfinite().all():
            continue
        units = getattr(module, name).shape[-1]
        p = now.reshape(1, -1).clone()
        before = getattr(module, f"{name}_before", None)
        change = torch.zeros_like(p) if before is None else p - before
        moved = transition.retract(p if before is None else before[None], change, units, torch)
        now.copy_(moved.view_as(now))
        if before is not None:
            before.copy_(now)


def retract_after(optimizer: torch.optim.Optimizer, model: Module) -> Any:
    """Call `retract_` after every step of an optimizer; returns torch's handle, to remove it."""
    return optimizer.register_step_post_hook(lambda *_: retract_(model))


@torch.no_grad()
def constraint_error(model: Module) -> float:
    """How far the constrained weights of a model are from their sets, the largest; 0 inside.

    Of unitary sets ||W^T W - I||_2, of contractive ones max(||W||_2 - 1, 0).
    """
    errors = [
        float(transition.constraint_error(getattr(module, name)[None], torch)[0])
        for module, name, transition in _each(model)
    ]
    return max(errors, default=0.0)
