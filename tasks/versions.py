"""Parts of identities: raise one when the same input would give other output, and all of it is made anew."""

TRAINER_VERSION = 1  # adapters
RENDERER_VERSION = 1  # drafts
FINISHER_VERSION = 1  # renditions
PREPARER_VERSION = 2  # prepared photos, where those of an earlier run are taken
