"""Datasets in one column layout: `text`, and `pinyin` as long as it (None where unlabelled)."""

from collections.abc import Collection, Iterator
from pathlib import Path

from datasets import Dataset, concatenate_datasets

from ..errors import InputError
from ..lexicon import is_polyphone, phrase_table, readings
from .bundled import read_bundled, read_records
from .cpp import read_cpp
from .hsk import read_hsk
from .records import FEATURES, Record, build
from .tables import read_hub, read_jsonl, read_parquet

__all__ = ["FEATURES", "SOURCES", "label_monophones", "load", "load_all"]

SOURCES = {
    "bundled": "sentences of h2p-hf (CC-BY-4.0)",
    "cpp": "CPP, kakaobrain/g2pM (Apache-2.0; sentences from Chinese Wikipedia)",
    "hsk": "graded sentences of hsk-sentences-audio (CC-BY-SA-4.0)",
}
"""Where the datasets that have a name come from, and their licences."""


def load(name: str, held_out: Collection[str] = frozenset(), drop_duplicates: bool = False) -> Dataset:
    """Load one dataset by name.

    Args:
        name (`str`): one of

            - ``bundled``, ``cpp``, ``hsk``: what comes with the package, the CPP benchmark, hsk-sentences-audio;
            - a ``.jsonl``, ``.parquet`` or ``.tsv`` file (the latter in the format of our sentences), or a folder in
              CPP format;
            - the id of a dataset on the Hub, ``user/name``;

            with ``@split`` at the end for another split than ``train``, for example ``bundled@test``.
        held_out (collection of `str`, *optional*): sentences that must not be in it (see `records.build`).
        drop_duplicates (`bool`, *optional*, defaults to `False`): leave those out instead of raising.

    Returns:
        `datasets.Dataset` with the columns `text` and `pinyin`.

    Raises:
        InputError: if there is no such dataset, or a row is bad.

    Example:
        >>> load("bundled@test").column_names
        ['text', 'pinyin']
    """
    return build(_records(name), name, held_out, drop_duplicates)


def load_all(names: Collection[str], **kwargs) -> Dataset:
    """Load several datasets (see `load`) into one."""
    return concatenate_datasets([load(name, **kwargs) for name in names])


def _records(name: str) -> Iterator[Record]:
    base, mark, split = name.rpartition("@")
    if not mark or Path(name).exists():
        base, split = name, ""
    path = Path(base)
    if base == "bundled":
        return read_bundled(split or "train")
    if base == "cpp":
        return read_cpp(split=split or "train")
    if base == "hsk":
        return read_hsk(split or "train")
    if path.is_dir():
        return read_cpp(path, split or "train")
    readers = {".jsonl": read_jsonl, ".parquet": read_parquet, ".tsv": read_records}
    if path.suffix in readers:
        if split:
            raise InputError(f"{name}: a file has no splits: leave @{split} out")
        return readers[path.suffix](path)
    if base.count("/") == 1 and not path.exists():
        return read_hub(base, split or "train")
    raise InputError(
        f"no dataset {name!r}: give bundled, cpp, hsk, a .jsonl, .parquet or .tsv file, a CPP folder or a Hub id, "
        "with @split if need be"
    )


def label_monophones(dataset: Dataset) -> Dataset:
    """Label every unlabelled character that is no polyphone, from the lexicon.

    Sources such as CPP label one polyphone a sentence; with its neighbours labelled as well a fresh head learns to
    read every hanzi. A character that also has a lexical neutral tone has that one where a phrase of the lexicon says
    so, and its full tone elsewhere.
    """

    def fill(row: dict) -> dict:
        text, pinyin = row["text"], list(row["pinyin"])
        phrases = phrase_table().readings(text)
        for at, char in enumerate(text):
            known = readings(char)
            if pinyin[at] is None and known and not is_polyphone(char):
                pinyin[at] = phrases[at] if phrases.get(at) in known else known[0]
        return {"pinyin": pinyin}

    return dataset.map(fill, desc="Labelling monophones")
