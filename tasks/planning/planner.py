"""Compares products with what the store holds: what it lacks of them becomes jobs, and all else is counted."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, zip_longest

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.errors import Rejected
from catalog_schemas.plan import PlannedVariant, SkuJob
from catalog_schemas.reference import Photo
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.variant import VariantSpec
from configs.entries import Channel
from tasks.planning.attempts import in_a_new_place, in_its_place
from tasks.planning.colour_words import ColourWords
from tasks.planning.known import Known, class_adapters
from tasks.planning.matrix import Drawing, expand
from tasks.planning.photos import Listed, no_usable_photo
from tasks.runtime.context import RunContext
from tasks.runtime.identities import gate_id, image_id, recipe_of, slot_of
from tasks.runtime.versions import RENDERER_VERSION, TRAINER_VERSION

STAGE = "plan"
CLASS_PHOTOS = 256  # that a class adapter learns from at most: the first of each SKU, then the second …


class Planner:
    """Takes products one after another.

    `skipped` counts SKUs without anything to do, `held` the images that the store has, by SKU, and `images_refused`
    those that cannot be had or that a person has rejected. `displaced` lists the ids of live images that have no place
    in the matrix any more, `emptied` counts SKUs of which it asks for none. `quarantined` lists SKUs without a usable
    photo, `rejections` all that was refused. `new_classes` are class adapters to be trained.
    """

    def __init__(self, context: RunContext, known: Known, scene_photos: Mapping[str, tuple[str, ...]]) -> None:
        self.context, self.config, self.library = context, context.config, context.library()
        self.known, self.scene_photos = known, scene_photos
        self.recipe = recipe_of(context)
        self.colour_words = ColourWords(self.library.colours)
        self.channels = [self.library.channels[name] for name in self.config.channels]
        self.classes: dict[str, AdapterSpec] = {}
        self.new_classes: list[AdapterSpec] = []
        self.skipped = self.images_refused = self.emptied = 0
        self.held = Counter[str]()
        self.displaced: list[str] = []
        self.quarantined: list[str] = []
        self.rejections: list[Rejection] = []

    def find_classes(self, listed: Sequence[Listed]) -> None:
        """Names the class adapter of each noun: the one that the store holds or, of a noun's first SKUs, a new one.

        A SKU that comes later begins with the class adapter as it is, so that it changes no other SKU's adapter.
        """
        model, members = self.context.model.identity, defaultdict[str, list[list[Photo]]](list)
        for one in sorted(listed, key=lambda one: one.product.sku):
            members[one.product.class_noun].append(one.photos)
        self.classes, files = class_adapters(self.context.open(), model, self.recipe, TRAINER_VERSION)
        self.known.adapters.update(files)
        for noun, of_skus in members.items():
            turns = (photo.id for turn in zip_longest(*of_skus) for photo in turn if photo)
            chosen = tuple(sorted(islice(dict.fromkeys(turns), CLASS_PHOTOS)))
            if chosen and noun not in self.classes:
                self.classes[noun] = AdapterSpec("", noun, model, chosen, self.recipe, TRAINER_VERSION)
                self.new_classes.append(self.classes[noun])

    def jobs(self, listed: Sequence[Listed]) -> Iterator[SkuJob]:
        """The SKUs with something to do.

        One that has images, and a photo that cannot be had for a passing reason, is left as it is until it can be had:
        without that photo it would be trained again, and once more with it.
        """
        for one in listed:
            sku = one.product.sku
            self.rejections += [self._rejection(sku, subject, verdict) for subject, verdict in one.faults]
            images = len(self.known.live.get(sku, ()))
            if images and one.awaits_photos:
                self.skipped += 1
                self.held[sku] += images
            elif not one.photos:
                self._quarantine(one)
            elif (job := self._job(one)).variants:
                yield job
            else:
                self.skipped += 1

    def _quarantine(self, one: Listed) -> None:
        sku = one.product.sku
        self.quarantined.append(sku)
        if all(subject != sku for subject, _ in one.faults):
            verdict = Rejected(Reason.SKU_NO_USABLE_REFERENCES, no_usable_photo(sku, len(one.faults)))
            self.rejections.append(self._rejection(sku, sku, verdict))

    def _job(self, one: Listed) -> SkuJob:
        product, photos = one.product, tuple(one.photos)
        start = self.classes.get(product.class_noun)
        spec = AdapterSpec(
            sku=product.sku,
            class_noun=product.class_noun,
            base_model=self.context.model.identity,
            references=tuple(sorted(photo.id for photo in photos)),
            recipe=self.recipe,
            trainer_version=TRAINER_VERSION,
            start=start.id if start else "",
            colour=product.in_words(self.config.training.colour_attributes),
        )
        variants = tuple(self._variants(one, spec))
        if not any(planned.spec.adapter_id for planned in variants):
            return SkuJob(product, photos, None, "", variants)
        return SkuJob(product, photos, spec, self.known.why_train(spec), variants, start)

    def _variants(self, one: Listed, adapter: AdapterSpec) -> Iterator[PlannedVariant]:
        product, model = one.product, self.context.model
        drawing = Drawing(
            token=self.config.training.token,
            adapter_id=adapter.id,
            base_model=model.drawing_identity,
            references=tuple(photo.id for photo in one.photos),
            resolution=self.context.resolution,
            renderer_version=RENDERER_VERSION,
            colour=adapter.colour,
            colour_hex=self.colour_words.of_product(product, self.config.generation.colour_attributes),
            controlnet=model.controlnet_identity,
            upscaler=model.upscaler_identity,
            scene_photos=self.scene_photos,
        )
        slots = set[str]()
        self.held[product.sku] += 0  # a SKU that needs no image is remembered, too
        for first in expand(product, self.config.variants, self.config.generation, self.library, drawing):
            admitting = [c for c in self.channels if not c.techniques or first.technique in c.techniques]
            for (spec, attempts), channels in self._shown(first, admitting).items():
                slots |= {slot_of(spec, channel.name) for channel in channels}
                missing = [c for c in channels if image_id(spec, c, product.title) not in self.known.images]
                wanted = [c.name for c in missing if not self._is_refused(spec, c, product.title)]
                self.held[product.sku] += len(channels) - len(missing)
                self.images_refused += len(missing) - len(wanted)
                if wanted:
                    why = self.known.why_render(spec, wanted, product.title) if spec is first else _why_another(spec)
                    yield PlannedVariant(spec, tuple(wanted), why, product.title, attempts)
        displaced = self.known.without_place(product.sku, slots)
        self.displaced += displaced
        self.emptied += bool(displaced) and not slots

    def _shown(self, first: VariantSpec, channels: list[Channel]) -> dict[tuple[VariantSpec, int], list[Channel]]:
        """What these channels are to show, each attempt with its channels and with how many seeds it may be tried.

        It is the variant itself; in channels in which a person or the checks have refused it, the same with another
        seed. Where a seed changes nothing, a channel in which a person has rejected the variant shows nothing, and its
        image counts as refused.
        """
        attempts = self.config.variants.attempts
        if not self.known.rejected and first.sku not in self.known.refused:  # as with nearly all
            return {(first, attempts): channels}
        shown = defaultdict[tuple[VariantSpec, int], list[Channel]](list)
        for channel in channels:
            spec, left = self._best_left(first, channel.name, attempts)
            if spec is None:
                self.images_refused += 1
            else:
                shown[spec, left].append(channel)
        return shown

    def _best_left(self, first: VariantSpec, channel: str, attempts: int) -> tuple[VariantSpec | None, int]:
        """The first attempt that has not been refused, or the last one, and with how many seeds it may be tried; None
        where a person has rejected the variant, and no seed would change it."""
        spec: VariantSpec | None = first
        left = attempts
        while spec:
            if (spec.id, slot_of(spec, channel)) in self.known.rejected:
                spec, left = in_a_new_place(spec), attempts
            elif left > 1 and self._is_failed(spec) and (another := in_its_place(spec)):
                spec, left = another, left - 1
            else:
                break
        return spec, left

    def _is_failed(self, spec: VariantSpec) -> bool:
        """Whether the checks, as they are now, have refused it."""
        return gate_id(spec, self.context) in self.known.refused.get(spec.sku, ())

    def _is_refused(self, spec: VariantSpec, channel: Channel, title: str) -> bool:
        """Whether a run before has found that this image cannot be had."""
        if spec.sku not in self.known.refused:  # as hardly any is; to name its trials takes time
            return False
        trials = (spec.adapter_id, spec.id, gate_id(spec, self.context), image_id(spec, channel, title))
        return not self.known.refused[spec.sku].isdisjoint(trials)

    def _rejection(self, sku: str, subject: str, verdict: Rejected) -> Rejection:
        context = self.context
        return Rejection(sku, STAGE, verdict.reason, subject, verdict.detail, context.run_id, context.started_at)


def _why_another(spec: VariantSpec) -> str:
    return "rejected" if spec.place_seed is None else "check failed"
