"""What each method of the recipe learns: LoRA on the UNet, on the text encoders, words of the product's own."""

from configs.training import TrainingConfig
from tasks.engine.bank import AdapterBank, TextPart
from tasks.engine.base_model import BaseModel

TOKENS = 2  # learned words where the recipe names no number
PACE = 3.0  # the learned words' learning rate over the LoRA's, where the recipe names none


def new_bank(base: BaseModel, recipe: TrainingConfig, slots: int) -> AdapterBank:
    """An empty bank for what the recipe learns."""
    words_only = recipe.method == "textual-inversion"
    tokens, deep = tokens_of(recipe), bool(recipe.text_encoder) and not words_only
    text = TextPart(base.text_encoders, deep, tokens) if deep or tokens else None
    bank = AdapterBank(base.unet, slots, recipe.rank, () if words_only else recipe.targets, text)
    bank.route.scale.fill_(recipe.alpha / recipe.rank)
    return bank


def tokens_of(recipe: TrainingConfig) -> int:
    """How many words are learned; 0 for none."""
    return (recipe.tokens or TOKENS) if recipe.method in ("textual-inversion", "pivotal") else 0


def token_rate(recipe: TrainingConfig) -> float:
    """The learned words' learning rate over the recipe's."""
    if recipe.method != "pivotal":
        return 1.0
    return recipe.token_learning_rate / recipe.learning_rate if recipe.token_learning_rate else PACE
