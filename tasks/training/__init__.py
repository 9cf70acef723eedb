"""What the two training stages do where there is something to train; with it torch and diffusers are loaded."""
