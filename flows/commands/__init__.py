"""The command line: each command a thin face of a flow or a stage."""
