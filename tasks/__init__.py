"""The stages of a run, one file each, and the rooms they join: engine, imaging and storage."""
