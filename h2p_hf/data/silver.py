"""Silver labels: raw text read by a phrase dictionary, and by the agreement of two taggers elsewhere."""

from collections.abc import Sequence

from ..baselines import System, pypinyin_system
from ..lexicon import is_polyphone, phrase_table, readings


def silver_labels(texts: Sequence[str], tagger: System) -> list[list[str | None]]:
    """Label the characters whose reading is fairly sure, and leave the others None.

    Inside a phrase of large_pinyin a character has the phrase's reading: phrases are how rare readings get in, which a
    tagger hardly ever gives. A polyphone outside any phrase has the reading that pypinyin and `tagger` agree on, and any
    other character its full tone. Only readings of the lexicon are kept.

    Args:
        texts (sequence of `str`): sentences.
        tagger (`System`): a contextual tagger, such as `baselines.g2pm_system()`.

    Returns:
        `list[list[str | None]]`: one list as long as the text each.
    """
    rows = []
    for text, guess, default in zip(texts, tagger(texts), pypinyin_system(texts), strict=True):
        phrases = phrase_table().readings(text)
        row: list[str | None] = []
        for at, char in enumerate(text):
            known = readings(char)
            # The phrase table also has 不 and 一 in their sandhi tones; those are no readings of the lexicon.
            if phrases.get(at) in known:
                row.append(phrases[at])
            elif known and not is_polyphone(char):
                row.append(known[0])
            else:
                row.append(guess[at] if guess[at] == default[at] and guess[at] in known else None)
        rows.append(row)
    return rows
