"""One image to make."""

from dataclasses import dataclass

from catalog_schemas.identity import content_id


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """All that determines one draft: SKU × scene × colour × background × technique × seed, fully resolved.

    What is drawn: `prompt` and `negative_prompt` are the final texts, `width` and `height` the pixels that the model
    draws, and `adapter_id` is empty for a technique that uses none. Where the model draws nothing, all that only it
    needs is empty or 0, so that a cut-out stays when the model or its settings change. `upscaler` is the identity of
    the network that enlarges what the model has drawn, or empty.

    What guides it, where a picture does: `scene_prompt` is the place without a product that the guide shows, `strength`
    how far it guides, and `controlnet` the identity of the model that follows edges, or empty.

    What is shown of photos: `references` are the ids of the product's photos as listed, which a composite shows.
    `scene_photo` is the sha256 of a photograph of the scene, shown in place of one that is drawn. `surface` is how far
    down the picture a composite's product stands, `across` how far from the left its middle is, and `size` how much it
    takes at most: shares of the height and the width. `across` and `size` are None where they are the usual ones.
    `side_maximum` is how long the longer side may become, where a photo's own pixels are shown or the picture is
    enlarged.

    Colours: `colour_hex` and `background_hex` are "#rrggbb" or empty. `colour_word` is what people call a colour that
    is no entry of the library's. `own_colour_hex` is the colour in which a recoloured product was photographed, where
    the catalog says it in words that are known.

    `technique_version` is the technique's own, where it has one. `place_seed` is the first attempt's seed where this is
    a further one, which takes the first one's place since the checks refused it.
    """

    sku: str
    scene: str
    colour: str
    background: str
    technique: str
    seed: int
    prompt: str
    negative_prompt: str
    colour_hex: str
    background_hex: str
    adapter_id: str
    base_model: str
    references: tuple[str, ...]
    steps: int
    guidance: float
    scheduler: str
    width: int
    height: int
    surface: float
    renderer_version: int
    side_maximum: int | None = None
    scene_prompt: str = ""
    strength: float | None = None
    controlnet: str = ""
    upscaler: str = ""
    technique_version: int | None = None
    scene_photo: str = ""
    across: float | None = None
    size: float | None = None
    place_seed: int | None = None
    colour_word: str = ""
    own_colour_hex: str = ""

    @property
    def id(self) -> str:
        """64 hex digits."""
        return content_id(self)

    @property
    def name(self) -> str:
        """What it is, in words; the same slot of the matrix keeps its name when its pixels change."""
        seed = self.seed if self.place_seed is None else self.place_seed
        return "_".join((self.scene, self.colour, self.background, self.technique, str(seed)))
