"""The report page of a run: its parts, and the files that it is made of."""
