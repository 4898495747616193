"""Silver labels: raw text read by a phrase dictionary and two taggers, each character where they are fairly sure."""

from collections.abc import Sequence
from typing import NamedTuple

from ..baselines import Tagger, pypinyin_system
from ..lexicon import is_polyphone, phrase_table, readings

SURE = 0.99
"""Above this probability the tagger counts against the others: `recipes/silver.py --check cpp@dev_train` finds 94.4% of
such labels right. g2pM was trained on other sentences of that benchmark; on ours, made to mislead, it is 50%."""

LOCALIZERS = frozenset("上里")
"""Neutral behind a noun (墙上, 城里: 现代汉语词典), which g2pM and pypinyin never say: only phrases label them."""


class Silver(NamedTuple):
    """A label and what it rests on, for example ``phrase+tagger``."""

    reading: str
    source: str


def silver_labels(texts: Sequence[str], tagger: Tagger) -> list[list[Silver | None]]:
    """Label the characters whose reading is fairly sure, and leave the others None.

    A phrase of large_pinyin that forward and backward matching agree on gives its readings: phrases are how rare
    readings get in, which a tagger hardly ever gives. Where only one direction has a phrase, or they differ, the words
    are in doubt (试着重复): there it counts if the tagger agrees, or is not sure. Outside of phrases a polyphone has the
    reading that pypinyin and the tagger agree on, or that the tagger is sure of (but see `LOCALIZERS`). Any other
    character outside of phrases, or in doubtful ones, has its full tone. Only readings of the lexicon are kept.

    Args:
        texts (sequence of `str`): sentences.
        tagger (`Tagger`): a contextual tagger, such as `baselines.g2pm_probabilities()`.

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
    sure = guess in known and probability is not None and probability > SURE
    # The phrase table also has 不 and 一 in their sandhi tones; those are no readings of the lexicon.
    phrases = {vote for vote in (forward, backward) if vote in known}
    if forward == backward in known:
        return Silver(forward, "phrase+tagger" if guess == forward else "phrase")
    if known and not is_polyphone(char):
        return Silver(known[0], "monophone")
    if guess in phrases:
        return Silver(guess, "doubtful phrase+tagger")
    if len(phrases) == 1 and not sure:
        return Silver(phrases.pop(), "doubtful phrase")
    if char in LOCALIZERS:
        return None
    if guess in known and guess == default:
        return Silver(guess, "tagger+pypinyin")
    return Silver(guess, "tagger") if sure else None
