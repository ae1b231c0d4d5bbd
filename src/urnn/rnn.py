"""The recurrent network of the paper, Theta, and its input-output map y = G(x, Theta).

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, equation (1).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.errors import ArgumentError, DataError


def _relu(z: NDArray, b: NDArray) -> NDArray:
    z = z + b
    if np.iscomplexobj(z):  # CReLU: ReLU on the real and the imaginary part
        return np.maximum(z.real, 0) + 1j * np.maximum(z.imag, 0)
    return np.maximum(z, 0)


def _modrelu(z: NDArray, b: NDArray) -> NDArray:
    modulus = np.abs(z)
    scale = np.maximum(modulus + b.real, 0) / np.where(modulus > 0, modulus, 1)
    return z * np.where(modulus > 0, scale, 0)


def _sigmoid(z: NDArray, b: NDArray) -> NDArray:
    # exp of a non-positive number only, so that nothing overflows
    z = z + b
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def _tanh(z: NDArray, b: NDArray) -> NDArray:
    return np.tanh(z + b)


def _identity(z: NDArray, b: NDArray) -> NDArray:
    return z + b


#: phi(z; b) by name, in numpy and for complex numbers; `urnn.recurrence.activations` has the same
#: ones for kernels and torch. All are phi(z + b), but modReLU (Arjovsky et al. 2016), where b is a
#: real threshold on the modulus: (z / |z|) max(|z| + b, 0).
ACTIVATIONS: dict[str, Callable[[NDArray, NDArray], NDArray]] = {
    "relu": _relu,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "identity": _identity,
    "modrelu": _modrelu,
}
#: Activations that accept complex pre-activations ("relu" is then CReLU).
COMPLEX_ACTIVATIONS = frozenset({"relu", "identity", "modrelu"})


def _numbers(value: ArrayLike, name: str) -> NDArray:
    """The array of a parameter or an input, float64 or complex128."""
    try:
        array = np.asarray(value)
        dtype = np.complex128 if np.iscomplexobj(array) else np.float64
        return array.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} must be an array of numbers: {error}") from error


#: the arrays of Theta and their dimensions: n hidden units, m inputs, p outputs
_DIMENSIONS = {
    "W": ("n", "n"),
    "F": ("n", "m"),
    "b": ("n",),
    "C": ("p", "n"),
    "h_init": ("n",),
    "d": ("p",),
}


def _check(arrays: dict[str, NDArray], sizes: dict[str, int]) -> None:
    """ArgumentError unless all shapes fit to n and p, nothing is empty, and all is finite."""
    for name, dims in _DIMENSIONS.items():
        shape = arrays[name].shape
        fits = len(shape) == len(dims) and all(
            size == sizes.get(dim, size) for size, dim in zip(shape, dims, strict=True)
        )
        if not fits or 0 in shape:
            known = {dim: str(size) for dim, size in sizes.items() if size > 0}
            if name == "C":  # p is what C has
                known.pop("p", None)
            expected = ", ".join(known.get(dim, dim) for dim in dims)
            raise ArgumentError(f"{name} must have the shape ({expected}), but it has {shape}")
        if not np.all(np.isfinite(arrays[name])):
            raise ArgumentError(f"{name} has a NaN or an Inf")


class RNN:
    """h(k) = phi(W h(k-1) + F x(k) + b), y(k) = C h(k) + d, h(-1) = h_init.

    Theta = (W, F, b, C, h_init, d) with n hidden units, m inputs and p outputs:
    W (n, n), F (n, m), b (n,), C (p, n), h_init (n,), d (p,); h_init and d are 0 by default. Kept
    in float64, or in complex128 when any of them is complex; the arrays are read-only copies.
    ``activation`` is one of "relu", "tanh", "sigmoid", "identity", "modrelu"; "relu" on a complex
    network is CReLU, and "modrelu" takes the real part of b as the threshold on the modulus.

    Source: the paper, equation (1), which has no d; the outputs of the authors' released script
    and of trained models have one.

    Raises:
        ArgumentError: a shape that does not fit, a NaN or Inf, or an unknown activation; the
            message names the parameter.
    """

    def __init__(
        self,
        W: ArrayLike,
        F: ArrayLike,
        b: ArrayLike,
        C: ArrayLike,
        h_init: ArrayLike | None = None,
        activation: str = "relu",
        *,
        d: ArrayLike | None = None,
    ) -> None:
        given = {"W": W, "F": F, "b": b, "C": C}
        arrays = {name: _numbers(value, name) for name, value in given.items()}
        sizes = {
            dim: arrays[name].shape[0] if arrays[name].ndim == 2 else -1
            for dim, name in (("n", "W"), ("p", "C"))
        }
        for name, value, dim in (("h_init", h_init, "n"), ("d", d, "p")):
            arrays[name] = np.zeros(max(sizes[dim], 0)) if value is None else _numbers(value, name)
        _check(arrays, sizes)
        if activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ArgumentError(f"activation must be one of {known}, but it is {activation!r}")
        complex_valued = any(np.iscomplexobj(a) for a in arrays.values())
        if complex_valued and activation not in COMPLEX_ACTIVATIONS:
            raise ArgumentError(f"activation {activation!r} has no complex form")
        self.activation = activation
        dtype = np.complex128 if complex_valued else np.float64
        for name, value in arrays.items():
            kept = np.array(value, dtype=dtype)
            kept.flags.writeable = False
            setattr(self, name, kept)

    W: NDArray
    F: NDArray
    b: NDArray
    C: NDArray
    h_init: NDArray
    d: NDArray

    def replace(self, **changes: ArrayLike) -> RNN:
        """The same network with other values of the named parameters (W, F, b, C, h_init, d).

        Raises:
            ArgumentError: as the constructor.
        """
        arrays = {name: getattr(self, name) for name in _DIMENSIONS}
        return RNN(**{**arrays, **changes}, activation=self.activation)

    def save(self, path: str | Path) -> None:
        """Write Theta and the activation to an .npz file, whole or not at all.

        Raises:
            DataError: the file cannot be written.
        """
        from urnn import storage

        arrays = {name: getattr(self, name) for name in _DIMENSIONS}

        def make(name: Path) -> None:
            with open(name, "wb") as file:  # by its name numpy would append .npz
                np.savez(file, **arrays, activation=np.array(self.activation))

        storage.replace(Path(path), make)

    @staticmethod
    def load(path: str | Path) -> RNN:
        """The network that `save` wrote, with the same bits.

        Raises:
            DataError: no such file, a damaged one, or one that holds something else.
        """
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as saved:
                arrays = {name: saved[name] for name in _DIMENSIONS}
                return RNN(**arrays, activation=str(saved["activation"]))
        except FileNotFoundError:
            raise DataError(f"{path} does not exist") from None
        except KeyError as error:
            raise DataError(f"{path} is not a network that RNN.save wrote: {error}") from error
        # of a file that is no .npz numpy makes many things, an array without __exit__ among them
        except (OSError, ValueError, TypeError, AttributeError, EOFError, BadZipFile) as error:
            raise DataError(f"{path} cannot be read as a network: {error}") from error

    @property
    def hidden_units(self) -> int:
        """n, the number of states."""
        return self.W.shape[0]

    @property
    def input_size(self) -> int:
        """m, the number of inputs."""
        return self.F.shape[1]

    @property
    def output_size(self) -> int:
        """p, the number of outputs."""
        return self.C.shape[0]

    def states(self, x: ArrayLike) -> NDArray:
        """h(0), ..., h(T-1): (..., time, hidden), float64 or complex128, for x (..., time, input).

        Raises:
            ArgumentError: the last axis of x is not of size m, x has no time axis, or x is complex
                and the network has no complex form: tanh, sigmoid, or a ReLU network that is real.
        """
        x = _numbers(x, "x")
        if x.ndim < 2 or x.shape[-1] != self.input_size:
            raise ArgumentError(
                f"x must have the shape (..., time, {self.input_size}), but it has {x.shape}"
            )
        phi = ACTIVATIONS[self.activation]
        dtype = np.result_type(self.W.dtype, x.dtype)
        if dtype.kind == "c" and self.activation not in COMPLEX_ACTIVATIONS:
            raise ArgumentError(
                f"x is complex, but activation {self.activation!r} has no complex form"
            )
        if np.iscomplexobj(x) and self.activation == "relu" and not np.iscomplexobj(self.W):
            # a network for real inputs may have biases that hold for real states only
            raise ArgumentError(
                "x is complex, but the network is real: give it W as complex numbers (W + 0j), or "
                "take the real part of x"
            )
        # time first and every trial in one product: the loop over time is the only loop
        drive = np.moveaxis(x @ self.F.T, -2, 0)
        states = np.empty(drive.shape, dtype)
        h = np.broadcast_to(self.h_init, drive.shape[1:])
        transition = np.ascontiguousarray(self.W.T)
        for k in range(len(drive)):
            h = phi(h @ transition + drive[k], self.b)
            states[k] = h
        return np.moveaxis(states, 0, -2)

    def __call__(self, x: ArrayLike) -> NDArray:
        """y = G(x, Theta): outputs (..., time, output) for inputs x (..., time, input)."""
        return self.states(x) @ self.C.T + self.d

    def __repr__(self) -> str:
        return (
            f"RNN(hidden_units={self.hidden_units}, input_size={self.input_size}, "
            f"output_size={self.output_size}, activation={self.activation!r})"
        )
