"""What a product's photos are called in training."""

from configs.schema import TrainingConfig
from tasks.training.keeping import instance_prompt


def test_the_instance_prompt_names_token_noun_and_backdrop() -> None:
    assert instance_prompt(TrainingConfig(), "mug") == "a photo of a sks mug"
    assert instance_prompt(TrainingConfig(), "mug", "dark teal") == "a photo of a dark teal sks mug"
    named = TrainingConfig(backdrop="plain white background", token="zqx")
    assert instance_prompt(named, "toy car") == "a photo of a zqx toy car, plain white background"
