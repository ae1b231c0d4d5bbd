"""The stages of the workflow as commands, one file each: arguments and files in, a file out."""
