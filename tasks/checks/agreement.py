"""Does it show what its prompt says? The cosine similarity of CLIP features of the image and of its prompt, -1 to 1.

The product's own word is left out of the prompt, since CLIP does not know it.
"""

from tasks.checks import Subject

ASKS_SCORER = True


def measure(subject: Subject) -> float | None:
    """None where nothing was drawn, or where no CLIP model is at hand."""
    own = subject.features
    if subject.scorer is None or own is None or not subject.spec.prompt:
        return None
    words = " ".join(word for word in subject.spec.prompt.split() if word != subject.token)
    return float(subject.scorer.texts([words])[0] @ own)
