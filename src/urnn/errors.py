"""Errors that the user can mend: the command line prints their message, and no traceback.

Whatever else is raised is a bug of ours and keeps its traceback.
"""

from __future__ import annotations


class UserError(Exception):
    """What was asked for cannot be done; the message names the place and the remedy."""


class ConfigError(UserError, ValueError):
    """Settings that cannot be run."""


class ArgumentError(UserError, ValueError):
    """An argument of a function that is out of range, of the wrong shape or not known."""


class DataError(UserError, RuntimeError):
    """A file that cannot be read, written or used."""


class CalibrationError(UserError, RuntimeError):
    """A system whose biases could not be moved to where the task wants them."""


class Interrupted(UserError, RuntimeError):
    """A training was told to stop; the message says where its checkpoint is."""
