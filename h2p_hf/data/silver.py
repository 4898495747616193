"""Silver labels: raw text read by a phrase dictionary and two taggers, each character where they are fairly sure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..baselines import pypinyin_system
from ..lexicon import is_polyphone, phrase_table, readings

SURE = 0.99
"""Above this probability the tagger counts against the others: on CPP it is then right in 95 of 100 cases (recipes/silver.py)."""


class Silver(NamedTuple):
    """A label and what it rests on, for example ``phrase+tagger``."""

    reading: str
    source: str


def silver_labels(
    texts: Sequence[str], tagger: Callable[[str], list[tuple[str | None, float]]]
) -> list[list[Silver | None]]:
    """Label the characters whose reading is fairly sure, and leave the others None.

    A phrase of large_pinyin that forward and backward matching agree on gives its readings: phrases are how rare
    readings get in, which a tagger hardly ever gives. Where only one direction has a phrase, or they differ, the words
    are in doubt (试着重复): there it counts if the tagger agrees, or is not sure. Outside of phrases a polyphone has the
    reading that pypinyin and the tagger agree on, or that the tagger is sure of. Any other character has its full tone.
    Only readings of the lexicon are kept.

    Args:
        texts (sequence of `str`): sentences.
        tagger (callable): a contextual tagger with probabilities, such as `baselines.g2pm_probabilities()`.

    Returns:
        `list[list[Silver | None]]`: one list as long as the text each.
    """
    return [
        [_label(char, *votes) for char, *votes in zip(text, *_votes(text), tagger(text), default, strict=True)]
        for text, default in zip(texts, pypinyin_system(texts), strict=True)
    ]


def _votes(text: str) -> list[list[str | None]]:
    """Return what the phrases say at each character, matched forward and backward."""
    found = [phrase_table().readings(text, backward) for backward in (False, True)]
    return [[votes.get(at) for at in range(len(text))] for votes in found]


def _label(char: str, forward: str | None, backward: str | None, tagged: tuple, default: str | None) -> Silver | None:
    known, (guess, probability) = readings(char), tagged
    # The phrase table also has 不 and 一 in their sandhi tones; those are no readings of the lexicon.
    phrases = {vote for vote in (forward, backward) if vote in known}
    if forward == backward in known:
        return Silver(forward, "phrase+tagger" if guess == forward else "phrase")
    if known and not is_polyphone(char):
        return Silver(next(iter(phrases), known[0]), "monophone")
    if guess in phrases:
        return Silver(guess, "doubtful phrase+tagger")
    if len(phrases) == 1 and probability <= SURE:
        return Silver(phrases.pop(), "doubtful phrase")
    if guess in known and guess == default:
        return Silver(guess, "tagger+pypinyin")
    if guess in known and probability > SURE:
        return Silver(guess, "tagger")
    return None
