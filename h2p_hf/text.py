"""Hanzi and windows: which character of a text is which token. Offsets are indices into the caller's own `str`, counted in
code points.

This file is also part of the code that goes to the Hub with a checkpoint (see `remote`), so it imports nothing of ours.
"""

import bisect
import re
from collections.abc import Sequence

# Unified ideographs and their extensions A to J, compatibility ideographs, and 〇 (Unicode 17, Blocks.txt).
_HANZI = (
    (0x3007, 0x3007),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2EE5D),
    (0x2F800, 0x2FA1F),
    (0x30000, 0x3347F),
)
_STARTS = [start for start, _ in _HANZI]
_SURROGATE = re.compile("[\ud800-\udfff]")
_SENTENCE_END = re.compile(r"[。！？!?；;…\n]+[”’」』）)\"']*")


def is_hanzi(char: str) -> bool:
    """Return whether one character (code point) is a Chinese character.

    Example:
        >>> [is_hanzi(c) for c in "长〇𠮷A，"]
        [True, True, True, False, False]
    """
    code = ord(char)
    if code < 0x3007:
        return False
    start, end = _HANZI[bisect.bisect_right(_STARTS, code) - 1]
    return start <= code <= end


def encodable(text: str) -> str:
    """Return a text with U+FFFD for each lone surrogate, which libraries written in other languages cannot take; it stays
    as long as it was.
    """
    return _SURROGATE.sub("\ufffd", text)


def windows(text: str, size: int, overlap: int | None = None) -> list[tuple[int, int]]:
    """Cut a text into windows that a model can read in one pass.

    Whole sentences are packed into a window; only a sentence longer than `size` is cut inside, and its pieces then
    overlap so that every character can be read with context on both sides (see `owned`).

    Args:
        text (`str`): the text.
        size (`int`): the longest window, in characters.
        overlap (`int`, *optional*): what two pieces of one long sentence share, in characters; less than `size`, and by
            default a quarter of it.

    Returns:
        `list[tuple[int, int]]`: start and end offsets, in order, covering the text; empty for the empty text.

    Example:
        >>> windows("你好。再见。", size=4, overlap=1)
        [(0, 3), (3, 6)]
        >>> windows("一二三四五六", size=4, overlap=2)
        [(0, 4), (2, 6)]
    """
    overlap = size // 4 if overlap is None else overlap
    if not 0 <= overlap < size:
        raise ValueError(f"overlap must be from 0 to size - 1, got overlap={overlap}, size={size}")
    if len(text) <= size:
        return [(0, len(text))] if text else []
    ends = [m.end() for m in _SENTENCE_END.finditer(text)]
    if not ends or ends[-1] < len(text):
        ends.append(len(text))
    result: list[tuple[int, int]] = []
    start = done = 0  # the open window [start, done) holds whole sentences
    for end in ends:
        if end - start <= size:
            done = end
            continue
        if done > start:
            result.append((start, done))
        start = done
        while end - start > size:
            result.append((start, start + size))
            start += size - overlap
        done = end
    result.append((start, done))
    return result


def owned(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return which characters each window answers for: overlaps are shared out at their middle.

    Example:
        >>> owned([(0, 4), (2, 6)])
        [(0, 3), (3, 6)]
    """
    cuts = [(a_end + b_start + 1) // 2 for (_, a_end), (b_start, _) in zip(spans, spans[1:], strict=False)]
    starts = [start for start, _ in spans[:1]] + cuts
    return list(zip(starts, cuts + [end for _, end in spans[-1:]], strict=True))


def align(text: str, offsets: Sequence[tuple[int, int]], input_ids: Sequence[int], unk_id: int | None) -> list[int]:
    """Map each token to the one hanzi it stands for.

    Args:
        text (`str`): the text that was tokenised.
        offsets (sequence of `(start, end)`): one pair a token; special tokens have `(0, 0)`.
        input_ids (sequence of `int`): as many.
        unk_id (`int` or `None`): id of the unknown token: it carries no character, so it is mapped to nothing.

    Returns:
        `list[int]`: for each token the offset of its hanzi, or -1 if it is not exactly one known hanzi.
    """
    return [
        start if end - start == 1 and token != unk_id and is_hanzi(text[start]) else -1
        for (start, end), token in zip(offsets, input_ids, strict=True)
    ]
