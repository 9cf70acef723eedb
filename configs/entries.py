"""The entries of the library's files: scenes, backgrounds, colours and channels."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from configs.strict import Strict

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=48)]
Hex = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
HexOrEmpty = Annotated[str, Field(pattern=r"^(#[0-9a-f]{6})?$")]


class Scene(Strict):
    """Where the product stands. A scene is one YAML file's entry in `configs/scenes/`.

    `prompt` completes "a photo of a mug …" ("on a wooden table, warm window light"); `empty_prompt` describes the same
    place without a product, for techniques that put the real product's pixels into it. Instead of describing it,
    `photos` may name photographs of it: files beside the folder `scenes/`, or store URLs; further seeds take further
    ones. `group` is a name under which presets ask for several. `categories` are words matched against a product's
    category and class noun; none means that the scene suits every product. Of the picture's height and width, `surface`
    is how far down a product stands, `across` how far from the left its middle is, and `size` how much of each it takes
    at most. `season` is for people: nothing is chosen by it.
    """

    name: Name
    title: str
    group: Literal["studio", "table", "kitchen", "living-room", "bedroom", "bathroom", "outdoor", "seasonal", ""] = ""
    prompt: str
    empty_prompt: str = ""
    photos: tuple[Annotated[str, Field(min_length=1)], ...] = Field((), max_length=100)
    negative_prompt: str = ""
    categories: tuple[str, ...] = ()
    season: Literal["", "spring", "summer", "autumn", "winter"] = ""
    surface: float = Field(0.85, ge=0.3, le=1.0)
    across: float = Field(0.5, ge=0.1, le=0.9)
    size: float = Field(0.6, ge=0.1, le=1.0)

    @model_validator(mode="after")
    def _can_be_seen(self) -> "Scene":
        if not self.empty_prompt and not self.photos:
            raise ValueError("says nowhere how the place looks without a product: give empty_prompt, or photos of it")
        return self

    @property
    def rules(self) -> dict[str, Any]:
        """All that decides an image besides the photographs' bytes. `across` and `size` came later than the others:
        they are left out where they are the usual ones, so that older images keep their identity."""
        usual = {name for name in ("across", "size") if self.unusual(name) is None}
        return self.model_dump(mode="json", exclude={"photos", *usual})

    def unusual(self, name: Literal["across", "size"]) -> float | None:
        """The field's value, or None where it is the default."""
        value: float = getattr(self, name)
        return None if value == Scene.model_fields[name].default else value


class Background(Strict):
    """What is behind the product: words that are added to a scene's, a flat colour without a scene, or neither."""

    name: Name
    title: str
    prompt: str = ""
    hex: HexOrEmpty = ""


class Colour(Strict):
    """A colour the product is shown in; "original" has no hex and changes nothing."""

    name: Name
    title: str
    hex: HexOrEmpty = ""


class Channel(Strict):
    """What one sales channel demands of an image file. Sizes in pixels; 0 means "as drawn".

    `fit` says how a draft of another shape gets there: `cover` crops around the product, and continues the background
    where that would cut the product, `contain` pads with `pad`. `fill` bounds the product's longer side as a share of
    the image: a cut-out on a flat background is scaled to it, and a scene stays as it was drawn. `techniques` are those
    the channel admits; none means all. `white_background` demands pure white (255, 255, 255) around the product,
    measured after decoding the file again.
    """

    name: Name
    title: str
    width: int = Field(0, ge=0, le=10000)
    height: int = Field(0, ge=0, le=10000)
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    quality: int = Field(90, ge=1, le=100)
    max_bytes: int = Field(20_000_000, ge=10_000)
    fit: Literal["cover", "contain"] = "cover"
    pad: Hex = "#ffffff"
    fill_minimum: float = Field(0.0, ge=0.0, le=1.0)
    fill_maximum: float = Field(1.0, ge=0.0, le=1.0)
    white_background: bool = False
    techniques: tuple[str, ...] = ()
    source: str = ""

    @property
    def rules(self) -> dict[str, Any]:
        """All that decides an image; what people call the channel, and where its rules are written, does not."""
        return self.model_dump(mode="json", exclude={"title", "source"})
