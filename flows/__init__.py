"""The flows and the command line: order, concurrency and retries, nothing else."""
