"""Where data comes from: one folder for each task, its settings beside the code that makes it."""

from urnn.plugs import Point
from urnn.tasks.base import Task

POINT = Point(
    "urnn.tasks",
    Task,
    "task",
    ("synthetic", "permuted_mnist", "permuted_digits", "recorded"),
    default=True,
)
