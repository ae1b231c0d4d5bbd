"""Elementwise optimizers in Keras's form, over a stack of replicas; one code for numpy and torch.

Elementwise updates make a stack exactly equal to its members trained alone.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Protocol

from urnn.settings.training import Recipe


class Optimizer(Protocol):
    """An update rule with its state."""

    #: updates so far
    steps: int
    #: what it remembers, (R, K) each
    state: dict[str, Any]
    #: C++ of `change`, the change of one parameter, for `urnn.recurrence.gpu`
    cuda: ClassVar[str]

    def rate(self, learning_rate: float) -> float:
        """What the change of step number `steps` is multiplied by."""
        ...

    def update(self, gradient: Any, learning_rate: float) -> Any:
        """The change of the parameters for this gradient; both (R, K)."""
        ...


class Adam:
    """m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, change -a m / (sqrt(v) + eps).

    a = learning_rate sqrt(1 - b2^t) / (1 - b1^t), b1 = 0.9, b2 = 0.999, eps = 1e-7
    (Kingma, Ba 2015; Keras's constants).
    """

    cuda: ClassVar[str] = """\
__device__ inline real change(real g, real rate, real* mean, real* square) {
  *mean += real(0.1) * (g - *mean);
  *square += real(0.001) * (g * g - *square);
  return -rate * *mean / (root(*square) + real(1e-7));
}
"""

    def __init__(self, like: Any, xp: Any) -> None:
        self.xp, self.steps = xp, 0
        self.mean, self.square = xp.zeros_like(like), xp.zeros_like(like)
        self.state = {"mean": self.mean, "square": self.square}

    def rate(self, learning_rate: float) -> float:
        """a of the equation, t being `steps`."""
        return learning_rate * math.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)

    def update(self, gradient: Any, learning_rate: float) -> Any:
        self.steps += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.001 * (gradient * gradient - self.square)
        return -self.rate(learning_rate) * self.mean / (self.xp.sqrt(self.square) + 1e-7)


class RMSProp:
    """v <- rho v + (1 - rho) g^2, change -learning_rate g / (sqrt(v) + eps), rho = 0.9, eps = 1e-7.

    Source: Tieleman, Hinton 2012; Keras's constants.
    """

    cuda: ClassVar[str] = """\
__device__ inline real change(real g, real rate, real* square, real*) {
  *square += real(0.1) * (g * g - *square);
  return -rate * g / (root(*square) + real(1e-7));
}
"""

    def __init__(self, like: Any, xp: Any) -> None:
        self.xp, self.steps = xp, 0
        self.square = xp.zeros_like(like)
        self.state = {"square": self.square}

    def rate(self, learning_rate: float) -> float:
        """The learning rate itself."""
        return learning_rate

    def update(self, gradient: Any, learning_rate: float) -> Any:
        self.steps += 1
        self.square += 0.1 * (gradient * gradient - self.square)
        return -learning_rate * gradient / (self.xp.sqrt(self.square) + 1e-7)


OPTIMIZERS: dict[str, Any] = {"adam": Adam, "rmsprop": RMSProp}


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of a step 0, ..., steps - 1: constant, or a cosine that falls towards 0."""
    if recipe.schedule == "cosine":
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
    return recipe.learning_rate
