"""Parts of identities: raise one when the same input would give other output, and all of it is made anew."""

TRAINER_VERSION = 3  # adapters
RENDERER_VERSION = 3  # drafts
GATE_VERSION = 2  # verdicts of the checks that packshot brings
FINISHER_VERSION = 3  # renditions
PREPARER_VERSION = 3  # prepared photos, where those of an earlier run are taken
