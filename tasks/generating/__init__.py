"""The parts of the stage that generates: what the model draws, and how that is enlarged."""
