"""What all stages of a run stand on: its context and models, what is finished, progress and failures."""
