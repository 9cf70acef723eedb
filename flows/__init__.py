"""The flows and the command line: order, concurrency and retries, nothing else."""

import gc
import os

# How often garbage is looked for, in new objects. With Python's own 700, whatever is imported is looked through again
# and again while the rest is: torch, diffusers and transformers took 4.5 s of one core to load, and 3.8 s with these.
gc.set_threshold(50_000, 10, 2)

# How long torch's threads spin before they sleep while they wait for each other. Ten pictures through the demo's UNet
# on two cores took 0.46 s beside one busy process with GNU OpenMP's own 300,000 turns, 0.28 s with these, and 0.14 s
# alone with either. Must be set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
