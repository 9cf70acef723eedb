"""The section `training` of a preset: how adapters are learned."""

from typing import Literal

from pydantic import Field, model_validator

from configs.strict import Strict


class EvaluationConfig(Strict):
    """How training knows when it is done: at intervals the SKU's images are scored, and the best checkpoint is kept."""

    every: int = Field(100, ge=1, description="Steps between two looks")
    held_out: int = Field(1, ge=1, le=10, description="Photos kept from training, to measure likeness against")
    patience: int = Field(2, ge=1, description="Looks without gain after which training ends")
    gain: float = Field(0.005, ge=0, description="Smallest rise of likeness that counts as a gain")
    forfeit: float = Field(0.1, ge=0, le=1, description="Largest fall of prompt agreement, as a share of the first")


class TrainingConfig(Strict):
    """The recipe of an adapter. Every field is part of the adapter's identity."""

    rank: int = Field(16, ge=1, le=256)
    alpha: float = Field(16.0, gt=0, description="The LoRA's scale is alpha / rank")
    targets: tuple[Literal["attention", "feed_forward", "convolution"], ...] = Field(
        ("attention",), description="The layers that get a LoRA; convolution means the residual blocks"
    )
    method: Literal["", "textual-inversion", "pivotal", "dreambooth"] = Field(
        "",
        description="What is learned. Empty: LoRA; textual-inversion: words of the product's own, the model untouched; "
        "pivotal: both; dreambooth: every weight of the UNet, one product at a time",
    )
    tokens: int | None = Field(None, ge=1, le=16, description="Learned words, where the method has them; none: 2")
    token_learning_rate: float | None = Field(
        None, gt=0, lt=1, description="Of learned words in pivotal tuning; none: three times the learning rate"
    )
    text_encoder: bool | None = Field(
        None, description="The text encoders learn as well: by LoRA on their attention, with dreambooth all of them"
    )
    steps_per_photo: int = Field(100, ge=1, description="Training steps for each usable photo")
    steps_minimum: int = Field(300, ge=1)
    steps_maximum: int = Field(1000, ge=1)
    batch_size: int = Field(1, ge=1, le=64, description="Photos in a SKU's step")
    learning_rate: float = Field(1e-4, gt=0, lt=1)
    warmup_steps: int = Field(0, ge=0)
    decay: Literal["", "linear"] = Field(
        "", description="How the learning rate ends. Empty: as it was; linear: it falls to zero over the SKU's steps"
    )
    weight_decay: float = Field(1e-2, ge=0)
    gradient_clip: float = Field(1.0, gt=0, description="Largest gradient norm of one SKU")
    prior_weight: float = Field(
        1.0, ge=0, description="Weight of the loss that keeps the class prompt's prediction at the base model's"
    )
    prior_images: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Class images to rehearse, drawn once for each class prompt; none: the base model's own prediction",
    )
    evaluation: EvaluationConfig | None = Field(None, description="Looks in between; none: the last checkpoint is kept")
    snr_gamma: float = Field(5.0, ge=0, description="Min-SNR gamma (Hang et al. 2023); 0 turns it off")
    background_weight: float = Field(0.3, ge=0, le=1, description="Weight of the loss outside the product's mask")
    crops: int = Field(4, ge=1, le=64, description="Augmented crops of each photo, encoded once")
    flip: bool = Field(False, description="Mirror half of the crops; off by default, since it mirrors labels")
    token: str = Field("sks", pattern=r"^[a-z0-9]+$", description='The word of "a photo of a TOKEN mug"')
    backdrop: str = Field(
        "",
        description="What the photos show besides the product, in words: what a prompt names, the product need not be",
    )
    colour_attributes: tuple[str, ...] = Field(
        (),
        description="Attributes that hold a product's colour. The first that a product has is named with it, in "
        "training and where it is drawn in its own colour, so that another colour can be named instead",
    )
    seed: int = Field(0, ge=0)
    start_from: Literal["", "class"] = Field(
        "",
        description="What a LoRA begins with. Empty: nothing; class: an adapter of its class noun, trained once over "
        "the SKUs of the noun that the first run finds, for steps_maximum steps",
    )
    class_edition: int | None = Field(
        None, ge=0, description="Another number trains the class adapters again, over the SKUs there are then"
    )

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "TrainingConfig":
        if self.steps_minimum > self.steps_maximum:
            raise ValueError(f"steps_minimum {self.steps_minimum} is above steps_maximum {self.steps_maximum}")
        return self

    @model_validator(mode="after")
    def _method_has_what_is_set(self) -> "TrainingConfig":
        if self.tokens and self.method not in ("textual-inversion", "pivotal"):
            raise ValueError(f"tokens {self.tokens} needs method textual-inversion or pivotal, not {self.method!r}")
        if self.text_encoder and self.method == "textual-inversion":
            raise ValueError("text_encoder needs method pivotal, dreambooth or none (LoRA), not 'textual-inversion'")
        if self.start_from and self.method:
            raise ValueError(f"start_from {self.start_from!r} needs method none (LoRA), not {self.method!r}")
        if self.class_edition is not None and not self.start_from:
            raise ValueError("class_edition needs start_from: class")
        if self.evaluation and self.method == "dreambooth":
            raise ValueError("evaluation needs a method that trains in cohorts, not 'dreambooth'")
        return self
