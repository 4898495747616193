"""Our own sentences, which come with the package (CC-BY-4.0): one marked polyphone each."""

from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from ..text import read_lines
from .records import Record, marked

SPLITS = ("train", "validation", "test")
KINDS = ("formal", "colloquial", "trap")


def read_bundled(split: str = "train") -> Iterator[Record]:
    """Yield the rows of a split: `train`, `validation` or `test`."""
    if split not in SPLITS:
        raise InputError(f"bundled has no split {split!r}: choose from {', '.join(SPLITS)}")
    return read_sentences(Path(__file__).parent.parent / "resources" / "sentences" / f"{split}.tsv")


def read_sentences(path: str | Path) -> Iterator[Record]:
    """Yield the rows of a sentence file: reading, kind (formal, colloquial or trap) and sentence with {X}, with tabs
    between. Lines that start with ``#`` are left out.

    Raises:
        InputError: if a line is malformed, naming file and line.
    """
    for number, line in read_lines(path):
        where = f"{path}, line {number}"
        if line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 3:
            raise InputError(f"{where}: write reading, kind and sentence with tabs between, not {line!r}")
        reading, kind, sentence = fields
        if kind not in KINDS:
            raise InputError(f"{where}: unknown kind {kind!r}: choose from {', '.join(KINDS)}")
        yield marked(where, sentence, "{}", reading)
