"""The flows and the command line: order, concurrency and retries, nothing else."""

import os

# How long torch's threads spin before they sleep while they wait for each other. With GNU OpenMP's own 300,000 turns a
# step of the UNet on two cores takes up to five times as long where anything else runs on the machine, and with none
# it takes longer where nothing does. Must be set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
