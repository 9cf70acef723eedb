"""The flows and the command line: order, concurrency and retries, nothing else."""

import os

# Unless they are told to, torch's threads wait for each other by spinning. Where anything else runs on the machine, a
# step of the UNet on two cores then takes five times as long. Must be set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
