"""What can be set, one file per stage, so that a stage depends on its own settings alone."""
