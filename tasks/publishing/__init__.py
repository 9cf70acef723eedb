"""The parts of the stage that publishes, and commands between runs: the commit, and what people said of images."""
