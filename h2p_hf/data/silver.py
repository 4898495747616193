"""Silver labels: raw text read by the agreement of sources that fail in different ways."""

from collections.abc import Sequence

from ..baselines import System, pypinyin_system
from ..lexicon import is_polyphone, phrase_table, readings
from ..text import is_hanzi


def silver_labels(texts: Sequence[str], tagger: System) -> list[list[str | None]]:
    """Label characters that the sources agree on, and leave the others None.

    A monophone has its one reading. A polyphone inside a phrase of large_pinyin has the phrase's reading if `tagger`
    agrees or the phrase has three or more characters (short ones straddle word boundaries too often); one outside any
    phrase has the reading that pypinyin and `tagger` agree on. Only readings of the lexicon are kept.

    Args:
        texts (sequence of `str`): sentences.
        tagger (`System`): a contextual tagger, such as `baselines.g2pm_system()`.

    Returns:
        `list[list[str | None]]`: one list as long as the text each.
    """
    rows = []
    for text, guess, default in zip(texts, tagger(texts), pypinyin_system(texts), strict=True):
        row: list[str | None] = [g if g == d else None for g, d in zip(guess, default, strict=True)]
        for start, end, phrase in phrase_table().match(text):
            for at, reading in zip(range(start, end), phrase, strict=True):
                # The phrase table also has 不 and 一 in their sandhi tones; those are no readings of the lexicon.
                if reading in readings(text[at]):
                    row[at] = (
                        reading if end - start > 2 or guess[at] == reading or not is_polyphone(text[at]) else None
                    )
        for at, char in enumerate(text):
            known = readings(char)
            if not is_hanzi(char) or (row[at] is not None and row[at] not in known):
                row[at] = None
            if len(known) == 1:
                row[at] = known[0]
        rows.append(row)
    return rows
