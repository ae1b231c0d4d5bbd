"""A backend of compiled GPU kernels: loss and gradient, outputs, whole epochs, and states.

Tensors are torch's, on the driver's device. Launches wait for nothing; the host waits where it
reads: `GpuBackend.epoch` once at its end, for who has ended and the losses.
"""

from __future__ import annotations

import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urnn.errors import ArgumentError
from urnn.optimizers import learning_rate
from urnn.recurrence import Spec, check_indices, check_shape, check_step, parameter_count
from urnn.recurrence.gpu.driver import Driver, arguments
from urnn.recurrence.gpu.layouts import Layout, delta_row, layout, state_row

if TYPE_CHECKING:
    from urnn.training import Trainer

#: kernels that are compiled together
_STEP, _STATES = ("gradient", "join", "outputs"), ("states", "pull", "join")
#: seconds of an `epoch` after which it returns, so that a checkpoint can be saved
_SECONDS_AT_ONCE = 2.0
#: share of the free memory that states may take
_SHARE = 0.5


class GpuBackend:
    """Compiled GPU kernels; see `urnn.recurrence.Backend`.

    With the emulator's driver of the tests the same on a CPU.
    """

    xp: ModuleType = torch

    def __init__(self, driver: Driver, lanes: int | None = None) -> None:
        """``lanes`` other than the layout's own are for tests."""
        self.driver, self.name = driver, str(driver.device)
        self._lanes = lanes
        self._room = torch.empty(0)
        #: steps of an epoch at once, by the time that the last ones took
        self._at_once = 16

    # arrays

    def asarray(self, values: Any) -> Tensor:
        """A tensor of the driver's type, or int64 of labels, on its device."""
        integers = isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.integer)
        integers |= isinstance(values, Tensor) and not values.dtype.is_floating_point
        kind = torch.int64 if integers else self.driver.dtype
        return torch.as_tensor(values, dtype=kind, device=self.driver.device).contiguous()

    def to_numpy(self, array: Tensor) -> Any:
        """The tensor as an array; waits for the device."""
        return array.detach().cpu().numpy()

    def _doubles(self, count: int) -> Tensor:
        return torch.empty(count, dtype=torch.float64, device=self.driver.device)

    def _rows(self, spec: Spec, plan: Layout, length: int) -> int:
        """Reals of the states of a block at all time steps."""
        return (length + 1) * plan.teams * state_row(spec, plan)

    def _fitting(
        self, spec: Spec, plan: Layout, length: int, blocks: int, resident: int, room: int = 0
    ) -> int:
        """As many of the blocks as run at once and whose states of all time steps fit.

        ``room`` are reals that are there for them already.
        """
        each = self._rows(spec, plan, length)
        size = torch.empty(0, dtype=self.driver.dtype).element_size()
        most = int(_SHARE * self.driver.free_bytes()) // (each * size)
        most = max(most, room // each)
        if most < 1:
            raise ArgumentError(
                f"the states of {plan.tile} trials of {length} steps need {each * size >> 20} MiB, "
                f"which {self.name} has not free; use shorter trials, or the device cpu"
            )
        return min(blocks, resident, most)

    def _workspace(self, spec: Spec, plan: Layout, length: int, blocks: int, resident: int) -> Any:
        """(room, blocks): states of all time steps, in memory that is kept for the next call."""
        each = self._rows(spec, plan, length)
        blocks = self._fitting(spec, plan, length, blocks, resident, self._room.numel())
        if self._room.numel() < blocks * each:
            self._room = torch.empty(0)
            self._room = self.driver.empty(blocks * each)
        return self._room, blocks

    # the contract

    def step(self, spec: Spec) -> Any:
        """See `urnn.recurrence.Backend.step`."""
        known: tuple[Any, ...] = ()
        sent: dict[str, Tensor] = {}

        def run(
            theta: Tensor, x: Tensor, y: Tensor, dataset: NDArray, trials: NDArray
        ) -> tuple[Tensor, Tensor]:
            nonlocal known
            given = (x, y, dataset)
            if len(known) == 3 and all(a is b for a, b in zip(given, known, strict=True)):
                check_indices("trials", trials, (len(theta), "batch"), x.shape[1])
            else:
                check_step(spec, theta, x, y, dataset, trials)
                self._check_arrays(theta=theta, x=x, y=y)
                known = given
                sent["dataset"] = self._index(dataset)
            return self._gradient(spec, theta, x, y, sent["dataset"], self._index(trials))

        return run

    def _index(self, values: NDArray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), device=self.driver.device)

    def _check_arrays(self, **arrays: Tensor) -> None:
        """Raises ArgumentError: a type, a device or an order in memory that no kernel can read."""
        for name, array in arrays.items():
            kinds = [self.driver.dtype, *([torch.int64] if name == "y" else [])]
            fits = isinstance(array, Tensor) and array.dtype in kinds
            if not fits or array.device != self.driver.device or not array.is_contiguous():
                raise ArgumentError(
                    f"{name} must be a contiguous tensor of {self.driver.dtype} on "
                    f"{self.driver.device}; pass it through the backend's asarray"
                )

    def _gradient(
        self, spec: Spec, theta: Tensor, x: Tensor, y: Tensor, dataset: Tensor, trials: Tensor
    ) -> tuple[Tensor, Tensor]:
        replicas, batch = trials.shape
        plan = layout(spec, batch, self._lanes)
        parts = plan.parts(batch)
        program = self.driver.program(_STEP, spec, plan)
        kernel = program["gradient"]
        room, blocks = self._workspace(spec, plan, x.shape[2], replicas * parts, kernel.resident)
        partial = self.driver.empty(replicas * parts, parameter_count(spec))
        partial_loss, loss = self._doubles(replicas * parts), self._doubles(replicas)
        gradient = torch.empty_like(theta)
        given = arguments(
            theta=theta.contiguous(), x=x, y=y, dataset=dataset, trials=trials, gradient=gradient,
            loss=loss, partial=partial, partial_loss=partial_loss, workspace=room,
            replicas=replicas, parts=parts, batch=batch, columns=batch, number=x.shape[1],
            length=x.shape[2],
        )  # fmt: skip
        kernel(given, blocks)
        program["join"](given, replicas)
        return loss, gradient

    def outputs(self, spec: Spec, theta: Any, x: Any, dataset: NDArray) -> Tensor:
        """See `urnn.recurrence.Backend.outputs`."""
        theta, x = self.asarray(theta), self.asarray(x)
        check_step(spec, theta, x, None, dataset, None)
        replicas, (_, batch, length, _) = len(theta), x.shape
        plan = layout(spec, batch, self._lanes)
        kernel = self.driver.program(_STEP, spec, plan)["outputs"]
        tiles = -(-batch // plan.tile)
        room, blocks = self._workspace(spec, plan, length, replicas * tiles, kernel.resident)
        at_last = spec.loss == "cross_entropy"
        shape = (replicas, batch, *([] if at_last else [length]), spec.output_size)
        outputs = self.driver.empty(*shape)
        given = arguments(
            theta=theta, x=x, dataset=self._index(dataset), workspace=room, outputs=outputs,
            replicas=replicas, batch=batch, number=batch, length=length,
        )  # fmt: skip
        kernel(given, blocks)
        return outputs

    # the parts of a differentiable function

    def states(
        self, spec: Spec, theta: Tensor, x: Tensor, initial: Tensor, keep: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """All states (R, B, time, n), the last cell states (R, B, n), and what `pull` needs.

        theta (R, K), x (R, B, time, input), initial (R, B, states, n): h, then the cell state of a
        cell that has one. The last cell states are empty for one that has none, and what `pull`
        needs is unless it is to be kept.

        Raises:
            ArgumentError: an array of another shape, type or device.
        """
        self._check_states(spec, theta, x, initial)
        replicas, batch, length, _ = x.shape
        plan = self.states_layout(spec, batch)
        kernel = self.driver.program(_STATES, spec, plan)["states"]
        items = replicas * -(-batch // plan.tile)
        if keep:
            blocks, room = items, self.driver.empty(*self.kept_shape(spec, replicas, batch, length))
        else:
            # memory of this call alone: another one may run on another stream
            blocks = self._fitting(spec, plan, length, items, kernel.resident)
            room = self.driver.empty(blocks * self._rows(spec, plan, length))
        states = self.driver.empty(replicas, batch, length, spec.hidden_units)
        has_cell = spec.cell.has_cell_state
        last = self.driver.empty(replicas, batch, spec.hidden_units if has_cell else 0)
        given = arguments(
            theta=theta, x=x, dataset=self._every(replicas), initial=initial, workspace=room,
            states=states, last=last, replicas=replicas, batch=batch, number=batch, length=length,
        )  # fmt: skip
        kernel(given, blocks)
        return states, last, room if keep else room.new_empty(0)

    def pull(
        self,
        spec: Spec,
        theta: Tensor,
        x: Tensor,
        kept: Tensor,
        upstream: Tensor,
        upstream_last: Tensor | None,
        of_x: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of theta (R, K), the initial states (R, B, states, n) and, if wanted, x.

        ``kept`` is from `states`; upstream (R, B, time, n) and upstream_last (R, B, n) are the
        loss's gradients with respect to all states and the last cell states. Those of the readout
        and of theta's initial states are 0. Sums are in a fixed order.
        """
        replicas, batch, length, _ = x.shape
        plan = self.states_layout(spec, batch)
        program = self.driver.program(_STATES, spec, plan)
        tiles = -(-batch // plan.tile)
        items, n = replicas * tiles, spec.hidden_units
        empty = self.driver.empty
        partial = empty(items, parameter_count(spec))
        losses, loss = self._doubles(items), self._doubles(replicas)
        gradient = torch.empty_like(theta)
        of_initial = empty(replicas, batch, len(spec.cell.initial_states), n)
        dx = empty(*(x.shape if of_x else (0,)))
        deltas = empty(items, length * plan.teams * delta_row(spec, plan)) if of_x else None
        given = arguments(
            theta=theta, x=x, dataset=self._every(replicas), workspace=kept, gradient=gradient,
            loss=loss, partial=partial, partial_loss=losses, upstream=upstream.contiguous(),
            upstream_last=None if upstream_last is None else upstream_last.contiguous(),
            of_initial=of_initial, of_x=dx, deltas=deltas, replicas=replicas, parts=tiles,
            batch=batch, number=batch, length=length,
        )  # fmt: skip
        program["pull"](given, items)
        program["join"](given, replicas)
        return gradient, of_initial, dx

    def kept_shape(self, spec: Spec, replicas: int, batch: int, length: Any) -> tuple[int, Any]:
        """The shape of what `states` keeps."""
        plan = self.states_layout(spec, batch)
        return replicas * -(-batch // plan.tile), self._rows(spec, plan, length)

    def states_layout(self, spec: Spec, batch: int) -> Layout:
        """The one for the next power of two, so that few are compiled."""
        return layout(spec, 1 << (batch - 1).bit_length(), self._lanes)

    def _every(self, replicas: int) -> Tensor:
        """Each replica has inputs of its own."""
        return torch.arange(replicas, device=self.driver.device)

    def _check_states(self, spec: Spec, theta: Tensor, x: Tensor, initial: Tensor) -> None:
        check_shape("theta", theta, ("replicas", parameter_count(spec)))
        check_shape("x", x, (len(theta), "batch", "time", spec.input_size))
        wanted = (*x.shape[:2], len(spec.cell.initial_states), spec.hidden_units)
        check_shape("initial", initial, wanted)
        self._check_arrays(theta=theta, x=x, initial=initial)

    # whole epochs

    def epoch(self, trainer: Trainer, order: NDArray[np.int64], first: int) -> None:
        """Take steps of the trainer from batch ``first`` of the present epoch on.

        All that are left, or as many as take about two seconds, or one where the transition has no
        C++ of its own. The host waits once, at the end.
        """
        retract = getattr(trainer.transition, "cuda", None)
        if retract is None:
            trainer.step(order)
            return
        steps = min(trainer.batches - first, self._at_once)
        compiled = _Steps(self, trainer, order, retract)
        begin = time.perf_counter()
        compiled.take(first, steps)
        each = (time.perf_counter() - begin) / steps
        self._at_once = max(1, min(2 * self._at_once, int(_SECONDS_AT_ONCE / each)))


class _Steps:
    """Some steps of a training whose parameters are those of W itself, by the kernels alone."""

    def __init__(
        self, backend: GpuBackend, trainer: Trainer, order: NDArray[np.int64], retract: str
    ) -> None:
        self.backend, self.driver, self.trainer = backend, backend.driver, trainer
        spec, recipe = trainer.spec, trainer.recipe
        self.replicas, self.used = order.shape
        self.size = min(recipe.batch_size, self.used)
        self.plan = layout(spec, self.size, backend._lanes)
        self.parts = self.plan.parts(self.size)
        moves = (trainer.optimizer.cuda, retract)
        program = self.driver.program
        if self.plan.slices == 1:
            self.main, self.mover = program(("train",), spec, self.plan, moves)["train"], None
        else:
            self.main = program(_STEP, spec, self.plan)["gradient"]
            self.mover = program(("move",), spec, self.plan, moves)["move"]
        self.order = backend._index(order)
        self.ended = torch.as_tensor(trainer.ended, device=self.driver.device).clone()
        self.taken = torch.zeros(self.replicas, dtype=torch.int64, device=self.driver.device)
        self.total = torch.as_tensor(trainer.total, device=self.driver.device).clone()

    def take(self, first: int, steps: int) -> None:
        """Launch them, wait, and tell the trainer."""
        trainer = self.trainer
        self._launch(self._rates(first, steps), first, steps)
        trainer.trained.copy_(trainer.theta)
        to_numpy = self.backend.to_numpy
        trainer.note_steps(steps, to_numpy(self.ended), to_numpy(self.taken), to_numpy(self.total))

    def _rates(self, first: int, steps: int) -> Tensor:
        """What the optimizer multiplies by, of each step, computed in float64."""
        trainer = self.trainer
        recipe, optimizer = trainer.recipe, trainer.optimizer
        rates = []
        for batch in range(first, first + steps):
            step = trainer.epoch * trainer.batches + batch
            optimizer.steps += 1
            rate = learning_rate(recipe, step, recipe.epochs * trainer.batches)
            rates.append(optimizer.rate(rate))
        return torch.tensor(rates, dtype=self.driver.dtype, device=self.driver.device)

    def _launch(self, rates: Tensor, first: int, steps: int) -> None:
        """One launch, or two for each step, none of which is waited for."""
        trainer, spec, empty = self.trainer, self.trainer.spec, self.driver.empty
        n, count = spec.hidden_units, parameter_count(spec)
        main, mover = self.main, self.mover
        items = self.replicas * self.parts
        room, blocks = self.backend._workspace(
            spec, self.plan, trainer.x.shape[2], items, main.resident
        )
        # a block of `train` has a gradient of its own; those of the parts wait for `move`
        partial = empty(blocks if mover is None else items, count)
        partial_loss = self.backend._doubles(len(partial))
        movers = blocks if mover is None else min(self.replicas, mover.resident)
        scratch = empty(movers, 3 * n * n)
        states = [*trainer.optimizer.state.values()]
        given = arguments(
            theta=trainer.theta, x=trainer.x, y=trainer.y,
            dataset=self.backend._index(trainer.rows), trials=self.order,
            partial=partial, partial_loss=partial_loss, workspace=room, first_state=states[0],
            second_state=states[-1], scratch=scratch, rates=rates, total=self.total,
            taken=self.taken, ended=self.ended, replicas=self.replicas, parts=self.parts,
            columns=self.used, number=trainer.x.shape[1], length=trainer.x.shape[2],
            used=self.used, batch_size=self.size,
            largest_norm=trainer.recipe.clip_norm or 0.0,
            train_initial_state=int(trainer.recipe.train_initial_state),
        )  # fmt: skip

        if mover is None:
            given.step, given.steps = first, steps
            main(given, blocks)
            return
        for step in range(steps):
            given.first = (first + step) * self.size
            given.batch = min(self.size, self.used - given.first)
            given.step, given.parts = step, self.plan.parts(given.batch)
            main(given, blocks)
            mover(given, movers)
