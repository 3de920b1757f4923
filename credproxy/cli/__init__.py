"""The command line: click commands that print error and hint."""
