"""Builds the demo model's CLIP tokenizer: whole words for everything that captions say, bytes for all else."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from infra.demo.captions import vocabulary

MAX_LENGTH = 40

NOVELTIES = ("sks", "zwx", "ohwx", "xjy", "qvf", "hta", "olis", "bnha", "phol", "ucd", "kqz", "vyj")
"""Rare words that no caption holds: identifiers for products that an adapter learns."""

GENERAL = """
the this that its with without and or of in on at by for from to up down under over near next behind front between
one two three new old big small large tiny tall short wide narrow round square flat thin thick soft hard light dark
bright pale deep vivid warm cool cold hot clean plain simple modern classic vintage rustic elegant minimal luxury cozy
product products photo photograph photography picture image shot close closeup macro studio professional commercial
advertising advert catalog catalogue packshot ecommerce high quality detailed sharp focus realistic render
white black grey gray red orange yellow green mint teal blue navy purple pink brown beige cream gold silver copper
turquoise cyan magenta lilac violet lavender peach coral olive ivory tan sage burgundy maroon pastel colour color
coloured colored colourful colorful background backdrop scene setting light lighting daylight sunlight sunshine sun
moonlight candlelight lamp shadow shadows bokeh blurred blurry blur reflection reflections sunset sunrise golden hour
morning evening night day noon summer spring autumn fall winter christmas easter halloween valentine birthday party
holiday festive snow ice rain leaves leaf flower flowers blossom petals grass lawn garden park forest tree trees rock
moss moss-covered mountain mountains lake river sea ocean beach sand desert sky cloud clouds field meadow street city
kitchen living room bathroom bedroom office desk cafe restaurant bar shop store window sill shelf table tabletop top
counter countertop worktop bench chair sofa couch bed carpet rug floor wall door tile tiles brick bricks wood wooden
oak walnut pine bamboo marble stone slate granite concrete cement terrazzo metal steel iron brass glass ceramic
porcelain clay plastic rubber leather fabric cloth linen cotton wool velvet silk paper cardboard matte glossy shiny
metallic satin transparent pattern patterned striped stripes dotted dots checkered checks zigzag speckled band logo
label text brand mark star heart circle ring moon sun leaf bolt wave triangle cross diamond podium pedestal plinth
platform empty surface background gradient bauble baubles gift gifts ribbon candle candles pumpkin pillow pillows
blanket picnic tablecloth towel mirror soap plant plants book books cup coffee tea fruit fruits lemon lemons bread
mug bottle vase teapot bowl can box backpack sneaker sneakers shoe shoes chair cushion clock alarm headphones watch
sunglasses toy car bag handbag jar plate dress shirt hat phone speaker camera perfume toothbrush pan knife spoon fork
standing lying hanging floating person hand holding man woman child dog cat no low worst ugly bad distorted deformed
watermark noise noisy cropped duplicate extra cluttered messy style sketch drawing line art painting illustration
cartoon watercolor outline edges scribble
"""


def _words() -> list[str]:
    text = " ".join([*vocabulary(), GENERAL, *NOVELTIES]).lower()
    for mark in ",.;:!?()'\"-":
        text = text.replace(mark, " ")
    return sorted(set(text.split()))


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write vocab.json and merges.txt into `folder` and return the tokenizer; arbitrary text never fails.

    The same words give the same ids. Files that are there are kept: a model goes on with the ids that it has learned.
    """
    if not (folder / "merges.txt").exists():
        _write_pieces(folder)
    return CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=MAX_LENGTH
    )


def _write_pieces(folder: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=6000,
        min_frequency=1,
        initial_alphabet=alphabet,
        special_tokens=[letter + "</w>" for letter in alphabet],  # ids decide between equals, and these would be random
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator(_words(), trainer)
    learned = json.loads(bpe.to_str())["model"]
    pieces = [*alphabet, *(a + "</w>" for a in alphabet)]
    pieces += [p for p, _ in sorted(learned["vocab"].items(), key=lambda item: item[1]) if p not in set(pieces)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(pieces)}))
    merges = [" ".join(m) if isinstance(m, list) else m for m in learned["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
