"""The one column layout, and the validation that every row of every source goes through."""

import logging
from collections.abc import Collection, Iterable

from datasets import Dataset, Features, List, Value

from ..errors import InputError
from ..pinyin import normalize
from ..text import is_hanzi

logger = logging.getLogger(__name__)

FEATURES = Features({"text": Value("string"), "pinyin": List(Value("string"))})
"""`text`, and `pinyin` as long as it: one syllable in normal form for each character, None where unlabelled."""

Record = tuple[str, str, list[str | None]]
"""Where a row comes from (for messages), its text, and its readings in any notation."""


def build(
    records: Iterable[Record],
    source: str,
    held_out: Collection[str] = frozenset(),
    drop_duplicates: bool = False,
) -> Dataset:
    """Validate rows and make a dataset of them.

    Args:
        records (iterable of `Record`): the rows of one source.
        source (`str`): its name, for messages about the whole.
        held_out (collection of `str`, *optional*): validation and test sentences, which must not be among the rows.
        drop_duplicates (`bool`, *optional*, defaults to `False`): leave such rows out with a warning instead.

    Returns:
        `datasets.Dataset` with `FEATURES`.

    Raises:
        InputError: naming the row, if a text is no string of characters, the lengths differ, a reading is not a syllable or
            stands at a character that is no hanzi, or the sentence is held out; or if there is no row at all.
    """
    texts, pinyins, dropped = [], [], 0
    for where, text, pinyin in records:
        checked = _check(where, text, pinyin)
        if text in held_out:
            if not drop_duplicates:
                raise InputError(
                    f"{where}: this sentence is also in the validation or test data: remove it, or drop all such "
                    "rows with --drop_duplicates true"
                )
            dropped += 1
            continue
        texts.append(text)
        pinyins.append(checked)
    if dropped:
        logger.warning("%s: dropped %d rows that are also in the validation or test data", source, dropped)
    if not texts:
        raise InputError(f"{source}: no rows: give a file with at least one sentence")
    return Dataset.from_dict({"text": texts, "pinyin": pinyins}, features=FEATURES)


def _check(where: str, text: str, pinyin: list[str | None]) -> list[str | None]:
    if not isinstance(text, str):
        raise InputError(f"{where}: 'text' must be a string")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{where}: 'text' has a lone surrogate, which is no character: remove it") from None
    if not isinstance(pinyin, list):
        raise InputError(f"{where}: 'pinyin' must be a list with one reading (or null) for each character of 'text'")
    if len(pinyin) != len(text):
        raise InputError(f"{where}: 'text' has {len(text)} characters but 'pinyin' has {len(pinyin)} entries")
    checked = []
    for char, reading in zip(text, pinyin, strict=True):
        if reading is None:
            checked.append(None)
            continue
        try:
            checked.append(normalize(reading))
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None
        if not is_hanzi(char):
            raise InputError(f"{where}: {char!r} is no hanzi but has the reading {reading!r}: write null there")
    return checked


def marked(where: str, sentence: str, marks: str, reading: str) -> Record:
    """Return the record of a sentence with one marked character, such as ``长▁行▁路`` or ``长{行}路``.

    Args:
        where (`str`): for messages.
        sentence (`str`): the sentence with the marks.
        marks (`str`): the opening and the closing mark, two characters.
        reading (`str`): reading of the marked character.

    Raises:
        InputError: if there is not exactly one pair of marks around exactly one character.
    """
    opening, closing = marks
    before, found, rest = sentence.partition(opening)
    char, closed, after = rest.partition(closing)
    if not found or not closed or len(char) != 1 or opening in after or closing in after or closing in before:
        raise InputError(f"{where}: mark exactly one character like {opening}行{closing}, not {sentence!r}")
    return where, before + char + after, [None] * len(before) + [reading] + [None] * len(after)
