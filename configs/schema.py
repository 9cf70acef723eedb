"""The shape of a preset: unknown keys are refused, and every error is reported at once."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from configs.hex_colours import hex_colour
from configs.places import scene_at
from configs.strict import Strict
from configs.training import TrainingConfig

Positive = Annotated[float, Field(gt=0)]


class SegmenterConfig(Strict):
    """A network that finds the product in a photo, in an ONNX file: IS-Net, U²-Net, BiRefNet or the like."""

    source: str = Field(
        min_length=1, description="A local file, a store URL, or a hub file with its commit, id@revision/name.onnx"
    )
    mean: tuple[float, float, float] = Field(
        (0.485, 0.456, 0.406), description="Taken from red, green and blue in 0 to 1; the defaults are ImageNet's"
    )
    std: tuple[Positive, Positive, Positive] = Field((0.229, 0.224, 0.225), description="What they are divided by then")


class LoraConfig(Strict):
    """A LoRA that all pictures are drawn with, a house's style or a sampler of few steps: any safetensors file."""

    source: str = Field(
        min_length=1, description="A local file, a store URL, or a hub file with its commit, id@revision/name"
    )
    weight: float = Field(1.0, ge=-4, le=4, description="How much of it is added")


class ModelConfig(Strict):
    """The base model: a hub id with a pinned revision, a local folder, or a store URL; safetensors only."""

    source: str = Field(description="Hub id, local folder or store URL of a diffusers pipeline folder")
    revision: str = Field("", description="Commit of the hub repository, 40 hex digits; required for a hub id")
    variant: str = Field(
        "",
        pattern=r"^\w*$",
        description="Which of the folder's files of weights: fp16 takes diffusion_pytorch_model.fp16.safetensors and "
        "its kin, half as large; empty: those without such a word",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="auto: bfloat16 on CUDA, float32 elsewhere, and one identity for both; a precision that is named "
        "counts as another model, by which all is trained and drawn anew",
    )
    scorer: str = Field(
        "",
        description="A CLIP model for training.evaluation and the checks likeness and agreement: a local folder or a "
        "store URL; empty: clip/ in the model's own folder",
    )
    controlnet: str = Field(
        "",
        description="A ControlNet for Canny edges, which the technique sketch needs: a local folder, a store URL, or a "
        "hub id and its commit, id@revision; empty: controlnet/ in the model's own folder",
    )
    loras: tuple[LoraConfig, ...] = Field(
        (),
        max_length=8,
        description="What drawing adds to the base model, besides a product's own; training knows none",
    )
    segmenter: SegmenterConfig | None = Field(
        None, description="What cuts products out of photos that come without a mask; none: their colours and edges"
    )
    upscaler: str = Field(
        "",
        description="A network that enlarges what the model draws, Real-ESRGAN or the like, in an ONNX file: a local "
        "file, a store URL, or a hub file with its commit, id@revision/name.onnx; empty: upscaler.onnx in the model's "
        "own folder, or none, and channels scale it up",
    )
    resolution: int = Field(
        0, ge=0, le=2048, multiple_of=8, description="Pixels of a side in training and drafts; 0: the model's own"
    )


class GenerationConfig(Strict):
    """How drafts are drawn. Every field is part of a variant's identity."""

    steps: int = Field(25, ge=1, le=150)
    guidance: float = Field(7.0, ge=1.0, le=30.0, description="Classifier-free guidance scale")
    scheduler: Literal["checkpoint", "dpm", "unipc", "euler", "ddim", "lcm"] = "checkpoint"
    negative_prompt: str = "blurry, distorted, watermark, text, deformed"
    seed: int = Field(0, ge=0, description="The first seed; the n-th image of a slot uses seed + n")
    restyle_strength: float = Field(
        0.5,
        gt=0,
        le=1,
        description="How much of a composite the technique restyle draws anew, for its light: a share of the steps",
    )
    sketch_weight: float = Field(
        0.8, gt=0, le=2, description="How much the product's edges count where the technique sketch draws along them"
    )
    colour_attributes: tuple[str, ...] = Field(
        ("colour", "color", "farbe", "couleur", "colore", "kleur", "cor"),
        description="Attributes that hold a product's colour, in words or as a hex code. The first that a product has "
        "says which part of it is recoloured, where it has several colours; without one its title does",
    )
    side_maximum: int = Field(
        2048,
        ge=64,
        le=8192,
        description="Longest side of pictures that show a photo's own pixels: they grow from the model's size until "
        "the product is as large as in its photo, or to this. Also of those that model.upscaler enlarges",
    )


def _place(words: str) -> str:
    """The words, where they make a scene."""
    return scene_at(words).title


def _colour(name: str) -> str:
    """A name as it is, and a hex code in its one spelling."""
    return hex_colour(name) if name.startswith("#") else name


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names without those that come again, which would be made, and counted, twice."""
    return tuple(dict.fromkeys(names))


NameOrHex = Annotated[str, AfterValidator(_colour)]
NamesOnce = Annotated[tuple[str, ...], AfterValidator(_once)]


class MatrixRule(Strict):
    """Variants that it matches: every given list must hold the variant's value; an empty list matches all.

    `categories` are parts of a product's category, in whatever case; `scenes` may hold groups of scenes too.
    """

    skus: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    colours: tuple[NameOrHex, ...] = ()
    backgrounds: tuple[NameOrHex, ...] = ()
    techniques: tuple[str, ...] = ()


class VariantMatrix(Strict):
    """Which variants each SKU gets: scenes × colours × backgrounds × techniques × images.

    `scenes` are names or groups of scenes, or "all", `places` scenes in words: "a mossy rock in a forest". `colours`
    and `backgrounds` are names, or hex codes: "#1a7f5a". A variant is kept when `include` is empty or one of its rules
    matches, and no rule of `exclude` does. `limit_per_sku` of what remains are made: techniques take turns, each at the
    scene that has been shown least.
    """

    scenes: tuple[str, ...] = ("all",)
    places: tuple[Annotated[str, AfterValidator(_place)], ...] = ()
    colours: tuple[NameOrHex, ...] = ("original",)
    backgrounds: tuple[NameOrHex, ...] = ("scene",)
    techniques: NamesOnce = ("regenerate",)
    images: int = Field(1, ge=1, le=100, description="Images of each combination, each with its own seed")
    attempts: int = Field(
        3, ge=1, le=10, description="Seeds that each of them is tried with at most, until one passes the checks"
    )
    include: tuple[MatrixRule, ...] = ()
    exclude: tuple[MatrixRule, ...] = ()
    limit_per_sku: int = Field(20, ge=1, le=10_000)


class CheckConfig(Strict):
    """One check of the quality gate: a file of `tasks/checks/`, and the bounds its value must keep."""

    name: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    minimum: float | None = None
    maximum: float | None = None
    techniques: tuple[str, ...] = Field((), description="Techniques it applies to; none means all")

    @model_validator(mode="after")
    def _leaves_room(self) -> "CheckConfig":
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"no value is {self.minimum:g} or more and {self.maximum:g} or less; swap the two")
        return self


class WebConfig(Strict):
    """How photos are fetched from web addresses, where `catalog.reference_prefixes` allows any."""

    allow_private_addresses: bool = Field(
        False, description="Hosts may have addresses of a private network or of this machine; link-local ones never"
    )
    connections_per_host: int = Field(8, ge=1, le=64, description="Requests to one host at a time")
    stall_seconds: float = Field(10.0, gt=0, le=300, description="Longest silence of a server")
    seconds: float = Field(
        60.0, gt=0, le=3600, description="Longest time for one photo, redirects and retries included"
    )
    redirects: int = Field(3, ge=0, le=10, description="Followed one after another; each must be allowed too")


class CatalogConfig(Strict):
    """What a catalog may hold. The catalog's own folder is always allowed.

    `reference_prefixes` are folders and URLs below which photos may lie besides. Web addresses are refused unless a
    prefix names their scheme, host and folder: "https://cdn.example.com/files/".
    """

    reference_prefixes: tuple[str, ...] = ()
    web: WebConfig = WebConfig()
    placeholder_products: int = Field(
        10, ge=0, description="A photo that so many different products list stands for none of them; 0: never"
    )
    changes: Literal["photos", "updated_at"] = Field(
        "photos",
        description="How a changed photo is noticed: by looking at every photo's size and time, or by the row alone, "
        "for catalogs too large for that; then updated_at must change with the photos",
    )
    references_maximum: int = Field(12, ge=1, le=100, description="Photos used of one SKU; the first ones are taken")
    reference_bytes_maximum: int = Field(100_000_000, ge=1)
    reference_pixels_maximum: int = Field(80_000_000, ge=1)
    reference_side_minimum: int = Field(
        64,
        ge=8,
        description="Pixels of the shorter side; lowered, it trains those SKUs anew whose photos it let through",
    )


class StoreConfig(Strict):
    """How the store is used; nothing here changes what is made."""

    single_writer: bool = Field(
        False, description="Allows a store that ignores conditional writes: no two runs may ever use it at once"
    )
    catalog_name: str = Field(
        "",
        max_length=200,
        description="What the store remembers the catalog by, for a file whose path differs from day to day; empty: "
        "its path",
    )
    retire_maximum: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of a catalog's SKUs that may lose all their images at once, being gone from it, or since "
        "the configuration asks for none of them; a run that finds more, and more than ten, or all, stops. 1: any",
    )


class ComputeConfig(Strict):
    """Where it runs. Nothing here changes what is made, so nothing here is part of an identity."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = Field(
        1,
        ge=1,
        le=1024,
        description="Devices that train and draw at once; above 1 each has a process of its own, by Ray: packshot[ray]",
    )
    ray: Annotated[str, Field(pattern=r"^(auto|[^:/\s]+:\d+)?$")] = Field(
        "", description="A Ray cluster that has the devices, head:6379, or auto for this machine's; empty: this machine"
    )
    workers: int = Field(2, ge=1, le=64, description="Chunks worked on at once on a device; only one at a time draws")
    cohort_size: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = Field(
        8, description="SKUs trained together in one batch; auto: as many as the device's free memory holds"
    )
    snapshot_steps: int = Field(
        0,
        ge=0,
        description="Training steps between snapshots that a killed run goes on from; 0: begin the cohort again",
    )
    chunk_size: int = Field(16, ge=1, le=1024, description="Images rendered, checked and finished by one task")
    batch_size: int = Field(8, ge=1, le=64, description="Images denoised together")

    @model_validator(mode="after")
    def _ray_has_what_it_can_share(self) -> "ComputeConfig":
        if self.on_ray and self.device == "mps":
            raise ValueError("devices above 1 and ray need GPUs of CUDA's, or device cpu; a Mac has one device")
        return self

    @property
    def on_ray(self) -> bool:
        """Whether processes of Ray's do the work."""
        return self.devices > 1 or bool(self.ray)

    @property
    def slots(self) -> int | None:
        """SKUs trained together; None where the device's memory decides."""
        return None if self.cohort_size == "auto" else self.cohort_size


class RunConfig(Strict):
    """A preset: everything a run is told besides the catalog and the store."""

    model: ModelConfig
    catalog: CatalogConfig = CatalogConfig()
    training: TrainingConfig = TrainingConfig()
    generation: GenerationConfig = GenerationConfig()
    variants: VariantMatrix = VariantMatrix()
    checks: tuple[CheckConfig, ...] = ()
    channels: NamesOnce = ("web",)
    library: tuple[str, ...] = Field(
        (), description="Folders with scenes, channels, colours and backgrounds of your own"
    )
    store: StoreConfig = StoreConfig()
    compute: ComputeConfig = ComputeConfig()

    @model_validator(mode="after")
    def _training_draws_as_the_run_does(self) -> "RunConfig":
        drawing = [name for name in ("evaluation", "prior_images") if getattr(self.training, name)]
        if self.model.loras and drawing:
            raise ValueError(
                f"model.loras are for a run's pictures, but training.{drawing[0]} draws as well, without them: "
                "leave one of the two out"
            )
        return self
