"""What a task minimises: one class for each loss.

A loss owns its facts: which variable of a data file is the target, how outputs are compared with
it, and which scores a model has. `urnn.recurrence` has the gradients, `urnn.scoring` the scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from urnn.errors import DataError

if TYPE_CHECKING:
    from types import ModuleType

    import xarray as xr
    from numpy.typing import NDArray

    from urnn.recurrence import Backend


class Loss(Protocol):
    """What a model of a task minimises."""

    #: the name that `urnn.recurrence.Spec` knows it by
    name: ClassVar[str]
    #: for people, in the descriptions of files
    long_name: ClassVar[str]
    #: the variable of a data file that outputs are compared with
    target: ClassVar[str]
    #: the score that figures and tables show, and all scores with their long names
    metric: ClassVar[str]
    scores: ClassVar[dict[str, str]]
    #: the scores of a perfect model, where the data say what it would give
    optima: ClassVar[dict[str, str]]

    def output_size(self, data: xr.Dataset) -> int:
        """The number of outputs that a model of these data has."""
        ...

    def evaluate(
        self, backend: Backend, outputs: Any, y: Any, dataset: Any
    ) -> tuple[NDArray, NDArray]:
        """Loss and accuracy (R,) float64 of outputs (R, B, ...).

        Targets y (S, B, ...) are those of S data sets; dataset (R,) says which are a replica's.
        """
        ...

    def score(self, loss: NDArray, accuracy: NDArray, y: NDArray) -> NDArray:
        """The metric of outputs whose loss and accuracy on trials with targets y are known."""
        ...


class Squared:
    """mean((y_hat - y)^2) over trials, time and outputs; y (trial, time, output).

    A missing target, NaN, counts as no error, and in the mean.
    """

    name: ClassVar[str] = "squared"
    long_name: ClassVar[str] = "mean squared error"
    target: ClassVar[str] = "y"
    metric: ClassVar[str] = "r2"
    scores: ClassVar[dict[str, str]] = {
        "r2": "test R^2 = 1 - MSE / mean(y^2)",
        "r2_centred": "test R^2 about the mean of each output",
    }
    optima: ClassVar[dict[str, str]] = {
        "r2_optimal": "test R^2 of the output without noise",
        "r2_centred_optimal": "test R^2 about the mean of the output without noise",
    }

    def output_size(self, data: xr.Dataset) -> int:
        """The last dimension of y."""
        return int(data[self.target].shape[-1])

    def evaluate(
        self, backend: Backend, outputs: Any, y: Any, dataset: Any
    ) -> tuple[NDArray, NDArray]:
        """The mean squared error (R,); the accuracy is NaN."""
        import numpy as np

        # one replica at a time: what is between stays in the cache, and a GPU sums in an order that
        # does not depend on the stack
        pairs = zip(outputs, dataset, strict=True)
        losses = [_mean_square(backend.xp, some[None], y[of][None]) for some, of in pairs]
        losses = [backend.to_numpy(part) for part in losses]
        loss = np.concatenate(losses).astype(np.float64)
        return loss, np.full(len(loss), np.nan)

    def score(self, loss: NDArray, accuracy: NDArray, y: NDArray) -> NDArray:
        """R^2 = 1 - loss / mean(y^2)."""
        import numpy as np

        return 1 - loss / np.mean(np.square(np.nan_to_num(y), dtype=np.float64))


def _mean_square(xp: ModuleType, outputs: Any, y: Any) -> Any:
    """mean((outputs - y)^2) of each replica, where a target that is missing counts as no error."""
    error = outputs - y
    error *= error
    found = error.mean((1, 2, 3))
    # only then can a target be missing
    if xp.isnan(found).any():
        error[xp.isnan(y)] = 0
        found = error.mean((1, 2, 3))
    return found


class CrossEntropy:
    """mean(-log softmax(y_hat)[label]) over trials, at the last time step; label (trial,)."""

    name: ClassVar[str] = "cross_entropy"
    long_name: ClassVar[str] = "cross-entropy"
    target: ClassVar[str] = "label"
    metric: ClassVar[str] = "accuracy"
    scores: ClassVar[dict[str, str]] = {"accuracy": "share of the test trials classified correctly"}
    optima: ClassVar[dict[str, str]] = {}

    def output_size(self, data: xr.Dataset) -> int:
        """The number of classes, which the file states.

        Raises:
            DataError: it does not.
        """
        if "classes" not in data.attrs:
            raise DataError("the attribute classes, the number of classes of label, is missing")
        return int(data.attrs["classes"])

    def evaluate(
        self, backend: Backend, outputs: Any, y: Any, dataset: Any
    ) -> tuple[NDArray, NDArray]:
        """The cross-entropy (R,), and the share of labels that have the highest output."""
        scores, labels = backend.to_numpy(outputs), backend.to_numpy(y[dataset])
        return cross_entropy(scores, labels), accuracy(scores, labels)

    def score(self, loss: NDArray, accuracy: NDArray, y: NDArray) -> NDArray:
        """The accuracy itself."""
        return accuracy


#: by name
LOSSES: dict[str, Loss] = {loss.name: loss for loss in (Squared(), CrossEntropy())}


def loss_of(data: xr.Dataset) -> Loss:
    """The loss of a data file: the one that its attribute ``loss`` names, else squared.

    Raises:
        DataError: there is no such loss.
    """
    name = data.attrs.get("loss", Squared.name)
    if name not in LOSSES:
        raise DataError(f"the attribute loss must be one of {', '.join(LOSSES)}, not {name!r}")
    return LOSSES[name]


def cross_entropy(scores: NDArray, labels: NDArray) -> NDArray:
    """(R,): mean over the trials of -log softmax(scores)[label]; (R, B, class), (R, B)."""
    import numpy as np

    scores = scores.astype(np.float64)
    scores = scores - scores.max(2, keepdims=True)
    own = np.take_along_axis(scores, labels[:, :, None], 2)[:, :, 0]
    return (np.log(np.exp(scores).sum(2)) - own).mean(1)


def accuracy(scores: NDArray, labels: NDArray) -> NDArray:
    """(R,): share of the trials whose label has the highest score; (R, B, class), (R, B)."""
    return (scores.argmax(2) == labels).mean(1)
