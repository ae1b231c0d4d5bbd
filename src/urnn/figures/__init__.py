"""One module per figure, each with a ``plot`` that returns a matplotlib Figure, and one style."""
