"""Pictures made in the test, so that what must come out is known."""
