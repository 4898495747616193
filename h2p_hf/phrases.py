"""Phrases and their readings, found in a text by longest match.

This file is also part of the code that goes to the Hub with a checkpoint (see `remote`), so it imports nothing of ours.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

LEXICON = "lexicon.json.gz"
"""The file of a repository with its readings and phrases (see `hub.lexicon_file`)."""


class PhraseTable:
    """Phrases with the reading of each character, found by longest match.

    Args:
        phrases (`Mapping`): the readings of each phrase, in whatever form `parse` takes.
        parse (callable, *optional*): turns what the mapping holds into one reading a character. It is called for
            matches only, so that a large table costs nothing to load.
    """

    def __init__(self, phrases: Mapping[str, Any], parse: Callable[[Any], tuple[str | None, ...]] = tuple):
        self._phrases = phrases
        self._parse = parse
        self._parsed: dict[str, tuple[str | None, ...]] = {}

    def _lengths(self, end: int) -> dict[str, list[int]]:
        """Return the lengths of the phrases, longest first, by their character at index `end` (0 or -1)."""
        lengths: dict[str, list[int]] = {}
        for char, length in sorted({(phrase[end], len(phrase)) for phrase in self._phrases}, reverse=True):
            lengths.setdefault(char, []).append(length)
        return lengths

    @cached_property
    def _by_start(self) -> dict[str, list[int]]:
        return self._lengths(0)

    @cached_property
    def _by_end(self) -> dict[str, list[int]]:
        return self._lengths(-1)

    def __len__(self) -> int:
        return len(self._phrases)

    def __iter__(self) -> Iterator[str]:
        return iter(self._phrases)

    def __contains__(self, phrase: str) -> bool:
        return phrase in self._phrases

    def longest(self, text: str, at: int, backward: bool = False) -> tuple[int, int, tuple[str | None, ...]] | None:
        """Return start, end and readings of the longest phrase that starts (or, backward, ends) at an offset, if any."""
        for length in self._by_end.get(text[at - 1], ()) if backward else self._by_start.get(text[at], ()):
            start, end = (at - length, at) if backward else (at, at + length)
            if 0 <= start and end <= len(text) and (phrase := text[start:end]) in self._phrases:
                if phrase not in self._parsed:
                    self._parsed[phrase] = self._parse(self._phrases[phrase])
                return start, end, self._parsed[phrase]
        return None

    def match(self, text: str, backward: bool = False) -> list[tuple[int, int, tuple[str | None, ...]]]:
        """Find phrases from left to right, at each place the longest one; matches do not overlap.

        Args:
            text (`str`): the text.
            backward (`bool`, *optional*, defaults to `False`): go from right to left instead, with the longest phrase that
                ends at each place. Where both directions agree the words are mostly right (Sun & Tsou 1995, on forward
                and backward maximum matching).

        Returns:
            `list[tuple[int, int, tuple]]`: start, end and the readings of the characters between, in order.
        """
        found, at = [], len(text) if backward else 0
        while at > 0 if backward else at < len(text):
            if phrase := self.longest(text, at, backward):
                found.append(phrase)
                at = phrase[0] if backward else phrase[1]
            else:
                at += -1 if backward else 1
        return found[::-1] if backward else found

    def readings(self, text: str, backward: bool = False) -> dict[int, str | None]:
        """Return the reading of each character inside a match, by offset (see `match`)."""
        return {
            at: reading
            for start, end, found in self.match(text, backward)
            for at, reading in zip(range(start, end), found, strict=True)
        }
