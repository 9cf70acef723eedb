"""Pure compute on tensors and images: the only room that imports torch, diffusers, peft and transformers."""
