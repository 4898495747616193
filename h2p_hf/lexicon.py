"""Which readings a character or a phrase can have: dictionaries, the polyphone inventory and the user dictionary.

Sources: kTGHZ2013 (通用规范汉字字典), kXHC1983 (现代汉语词典) and the phrases of large_pinyin, all from pypinyin-dict
(MIT), the character table of pypinyin (MIT) as the last resort, and our own additions in ``resources/readings.tsv``.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir
from pypinyin.constants import PINYIN_DICT
from pypinyin_dict.pinyin_data import ktghz2013, kxhc1983

from .errors import InputError
from .files import RESOURCES, atomic_write, read_lines
from .phrases import PhraseTable
from .pinyin import normalize, syllables
from .text import is_hanzi


def general_standard() -> list[str]:
    """Return the 8,105 characters of 通用规范汉字表 (2013) in code point order."""
    return [chr(code) for code in sorted(ktghz2013.pinyin_dict)]


def resource_rows(name: str) -> list[list[str]]:
    """Return the rows of one of our tables in ``resources``: its lines cut at tabs, without comments."""
    lines = (RESOURCES / name).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


@cache
def _additions() -> dict[str, tuple[tuple[str, str], ...]]:
    additions: dict[str, list[tuple[str, str]]] = {}
    for char, reading, kind in resource_rows("readings.tsv"):
        additions.setdefault(char, []).append((reading, kind))
    return {char: tuple(rows) for char, rows in additions.items()}


@cache
def readings(char: str) -> tuple[str, ...]:
    """Return the readings of a character in normal form, the most common first, lexical neutral tones included.

    Characters of the general-standard table have the readings of kTGHZ2013 plus our additions; others those of
    kXHC1983, or else the first one in pypinyin's table. Unihan lists, which hold readings nobody uses, are not asked.

    Args:
        char (`str`): one character.

    Returns:
        `tuple[str, ...]`: empty if the character is unknown or no hanzi.

    Example:
        >>> readings("行")
        ('xing2', 'hang2', 'heng2')
        >>> readings("王"), readings("A")
        (('wang2', 'wang5'), ())
    """
    if len(char) != 1 or not is_hanzi(char):
        return ()
    code = ord(char)
    frequent = parse_readings(PINYIN_DICT.get(code, ""))  # the most common first; the other tables are alphabetical
    for table in (ktghz2013.pinyin_dict, kxhc1983.pinyin_dict):
        if code in table:
            found = sorted(
                parse_readings(table[code]), key=lambda r: frequent.index(r) if r in frequent else len(frequent)
            )
            break
    else:
        found = frequent[:1]
    return tuple(dict.fromkeys(found + [reading for reading, _ in _additions().get(char, ())]))


@cache
def common_readings(char: str) -> tuple[str, ...]:
    """Return the readings of a character that people meet: `readings` without the classical, abolished, technical or
    dialectal ones and those of rare names (the reasons in `left_out`).

    Example:
        >>> readings("从"), common_readings("从")
        (('cong2', 'cong1'), ('cong2',))
    """
    reasons = {reading: left_out().get((char, reading), "") for reading in readings(char)}
    return tuple(r for r, reason in reasons.items() if r == "r5" or not reason.startswith(_UNUSUAL))


_UNUSUAL = ("classical", "dialectal", "abolished", "technical", "a surname or name few")


@cache
def left_out() -> dict[tuple[str, str], str]:
    """Return the readings that our sentences leave out on purpose, by character and reading, with the reason: classical,
    dialectal, abolished, or a free variant that no sentence tells from another.
    """
    return {(char, reading): reason for char, reading, reason in resource_rows("left_out.tsv")}


def parse_readings(raw: str) -> list[str]:
    """Return the syllables of a comma-separated list in normal form, without those outside the inventory."""
    found = []
    for syllable in raw.split(","):
        try:
            found.append(normalize(syllable))
        except ValueError:  # the tables also hold a few syllables outside the inventory
            continue
    return found


@cache
def is_polyphone(char: str) -> bool:
    """Return whether a character has two or more readings; a merely neutral-tone variant (衣服 fu5) does not count.

    Example:
        >>> [is_polyphone(c) for c in "长行西A"]
        [True, True, False, False]
    """
    return len(set(readings(char)) - tone_variants(char)) > 1


def tone_variants(char: str) -> set[str]:
    """Return the readings of a character that are its lexical neutral tones (轻声), such as fu5 of 服 in 衣服."""
    return {reading for reading, kind in _additions().get(char, ()) if kind == "neutral"}


@cache
def large_pinyin_phrases() -> PhraseTable:
    """Return the phrases of large_pinyin (about 410,000)."""
    return PhraseTable(_large_pinyin(), parse=_split)


@cache
def phrase_table() -> PhraseTable:
    """Return the phrases of large_pinyin with our corrections (resources/phrases.tsv): what decoding and labels use."""
    phrases: dict[str, Any] = _large_pinyin()
    phrases.update(UserDictionary.load(RESOURCES / "phrases.tsv").entries)
    return PhraseTable(phrases, parse=lambda raw: raw if isinstance(raw, tuple) else _split(raw))


def _split(raw: str) -> tuple[str | None, ...]:
    return tuple(None if reading == "-" else reading for reading in raw.split(" "))


def _large_pinyin() -> dict[str, str]:
    """Return the phrases of large_pinyin with the first reading of each character, ``-`` for one outside the inventory.

    The module takes a second to import, and its readings another one to parse: what comes of it is kept in the cache of the
    user, where that can be written.
    """
    # What is kept depends on the dictionary and on our syllables.
    made_of = f"{version('pypinyin-dict')} {sorted(syllables())}"
    kept = Path(user_cache_dir("h2p_hf")) / f"large_pinyin-{_digest(made_of)}.txt"
    with suppress(OSError, ValueError):
        digest, phrases, found = kept.read_text("utf-8").split("\n\n")
        if digest == _digest(phrases + found):  # else a crash of the machine has damaged it
            return dict(zip(phrases.split("\n"), found.split("\n"), strict=True))
    from pypinyin_dict.phrase_pinyin_data import large_pinyin

    result = {
        phrase: " ".join(next(iter(parse_readings(first)), "-") for first, *_ in raw)
        for phrase, raw in large_pinyin.phrases_dict.items()
        if len(phrase) == len(raw) > 1
    }
    with suppress(OSError, InputError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(kept) as file:
            phrases, found = "\n".join(result), "\n".join(result.values())
            file.write(f"{_digest(phrases + found)}\n\n{phrases}\n\n{found}")
    return result


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass
class UserDictionary:
    """Phrases (or single characters) whose readings overrule everything else.

    The file has one entry a line: the phrase, a tab, and one reading a character separated by spaces, in any notation
    (``行长 TAB háng zhǎng`` or ``hang2 zhang3``). Lines that start with ``#`` and empty lines are left out.
    A character that is no hanzi has ``-`` for its reading; ``?`` leaves a hanzi to the model.
    """

    entries: dict[str, tuple[str | None, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> "UserDictionary":
        """Read a dictionary file.

        Raises:
            InputError: if a line is malformed, naming file and line.
        """
        return cls.from_lines(read_lines(path), str(path))

    @classmethod
    def from_lines(cls, lines: Iterable[tuple[int, str]], name: str) -> "UserDictionary":
        """Read the numbered lines of a dictionary file; messages call it by `name`.

        Raises:
            InputError: if a line is malformed, naming file and line.
        """
        entries: dict[str, tuple[str | None, ...]] = {}
        for number, line in lines:
            if not line.strip() or line.startswith("#"):
                continue
            where = f"{name}, line {number}"
            phrase, tab, rest = line.partition("\t")
            if not tab or not phrase:
                raise InputError(f"{where}: write the phrase, a tab and its readings, not {line!r}")
            entries[phrase] = _entry(phrase, rest.split(), where)
        return cls(entries)

    @classmethod
    def from_mapping(cls, entries: Mapping[str, str | Iterable[str]]) -> "UserDictionary":
        """Build a dictionary from phrases and their readings, given as a list or as one string with spaces."""
        return cls(
            {
                phrase: _entry(phrase, raw.split() if isinstance(raw, str) else raw, f"entry {phrase!r}")
                for phrase, raw in entries.items()
            }
        )

    @cached_property
    def _table(self) -> PhraseTable:
        return PhraseTable(self.entries)

    def readings(self, *forms: str) -> dict[int, str | None]:
        """Return the reading of each character inside an entry, by offset; at each place the longest entry counts.

        Args:
            forms (`str`): one text, or several of the same length that stand for each other, such as Traditional and
                Simplified; of entries as long in two forms that in the earlier one counts.
        """
        if len(forms) == 1:
            return self._table.readings(forms[0])
        found: dict[int, str | None] = {}
        at = 0
        while at < len(forms[0]):
            matches = filter(None, (self._table.longest(form, at) for form in forms))
            _, end, readings = max(matches, key=lambda match: match[1], default=(at, at + 1, ()))
            found.update(enumerate(readings, at))
            at = end
        return found


def _entry(phrase: str, raw: Iterable[str], where: str) -> tuple[str | None, ...]:
    if not (isinstance(phrase, str) and isinstance(raw, Iterable)):
        raise InputError(f"{where}: give a phrase (str) and its readings")
    raw = list(raw)
    if not phrase:
        raise InputError(f"{where}: the phrase is empty")
    if len(raw) != len(phrase):
        raise InputError(f"{where}: {phrase} has {len(phrase)} characters but {len(raw)} readings are given")
    result = []
    for char, reading in zip(phrase, raw, strict=True):
        try:
            result.append(normalize(reading) if is_hanzi(char) and reading != "?" else None)
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None
        if not is_hanzi(char) and reading != "-":
            raise InputError(f"{where}: {char!r} is no hanzi: write - for its reading, not {reading!r}")
    return tuple(result)
