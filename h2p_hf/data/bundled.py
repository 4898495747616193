"""Our own sentences, which come with the package (CC-BY-4.0): one marked polyphone each."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..files import read_lines
from .records import Record, marked

FOLDER = Path(__file__).parent.parent / "resources" / "sentences"
SPLITS = ("train", "validation", "test")
KINDS = ("formal", "colloquial", "trap")


class Sentence(NamedTuple):
    """A row of a sentence file. The fields after the first are its columns; `sentence` has braces around the target."""

    where: str
    reading: str
    kind: str
    sentence: str

    @property
    def at(self) -> int:
        """Offset of the target in `text`."""
        return self.sentence.index("{")

    @property
    def char(self) -> str:
        """The target."""
        return self.sentence[self.at + 1]

    @property
    def text(self) -> str:
        """The sentence without braces."""
        return self.sentence.replace("{", "").replace("}", "")

    def record(self) -> Record:
        """Return what `records.build` takes."""
        return marked(self.where, self.sentence, "{}", self.reading)


def read_bundled(split: str = "train") -> Iterator[Record]:
    """Yield the rows of a split: `train`, `validation` or `test`."""
    if split not in SPLITS:
        raise InputError(f"bundled has no split {split!r}: choose from {', '.join(SPLITS)}")
    return read_records(FOLDER / f"{split}.tsv")


def read_records(path: str | Path) -> Iterator[Record]:
    """Yield the rows of a sentence file (see `read_sentences`) as records."""
    return (sentence.record() for sentence in read_sentences(path))


def read_sentences(path: str | Path) -> Iterator[Sentence]:
    """Yield the rows of a sentence file: reading, kind (formal, colloquial or trap) and sentence with {X}, with tabs
    between; the first line names these columns, so that ``datasets.load_dataset("csv", sep="\\t")`` reads it as well.

    Raises:
        InputError: if a line is malformed, naming file and line.
    """
    lines = read_lines(path)
    if next(lines, (1, ""))[1].split("\t") != list(Sentence._fields[1:]):
        raise InputError(f"{path}: the first line must be reading, kind and sentence with tabs between")
    for number, line in lines:
        where = f"{path}, line {number}"
        fields = line.split("\t")
        if len(fields) != 3:
            raise InputError(f"{where}: write reading, kind and sentence with tabs between, not {line!r}")
        sentence = Sentence(where, *fields)
        if sentence.kind not in KINDS:
            raise InputError(f"{where}: unknown kind {sentence.kind!r}: choose from {', '.join(KINDS)}")
        sentence.record()  # raises if not exactly one character is marked
        yield sentence
