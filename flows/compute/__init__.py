"""Who does the work of a run: threads of one process, or processes with a device each."""
