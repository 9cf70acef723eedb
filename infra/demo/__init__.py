"""The demo studio, which photographs products, and the small Stable Diffusion that was trained on its photographs."""
