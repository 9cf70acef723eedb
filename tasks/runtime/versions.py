"""Parts of identities: raise one when the same input would give other output, and all of it is made anew."""

TRAINER_VERSION = 4  # adapters
RENDERER_VERSION = 3  # drafts of all techniques, and their scenes; a technique's own VERSION is for it alone
GATE_VERSION = 3  # verdicts of the checks that packshot brings
FINISHER_VERSION = 5  # renditions
PREPARER_VERSION = 4  # prepared photos, where those of an earlier run are taken
OWN_COLOUR_VERSION = 1  # of what a catalog's words for a product's colour are taken for, where it is recoloured
