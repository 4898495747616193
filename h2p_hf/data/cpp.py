"""CPP, the Chinese Polyphones with Pinyin benchmark (Park & Lee 2020, "g2pM", Interspeech; Apache-2.0).

Each sentence has one polyphone between ▁ marks in ``SPLIT.sent``, and its reading in the same line of ``SPLIT.lb``.
"""

import os
from collections.abc import Iterator
from hashlib import blake2b
from itertools import zip_longest
from pathlib import Path

import pooch

from ..errors import InputError
from ..files import read_lines
from .records import Record, marked

URL = "https://raw.githubusercontent.com/kakaobrain/g2pM/master/data/"
SENTENCES = {"train": 79117, "dev": 9893, "test": 10254}
"""Rows of each split as published (Park & Lee 2020, table 2)."""

SPLITS = ("train", "dev", "test", "dev_train", "dev_heldout")


def read_cpp(folder: str | Path | None = None, split: str = "train") -> Iterator[Record]:
    """Yield the rows of a split.

    Args:
        folder (`str`, *optional*): folder with ``dev.sent``, ``dev.lb`` and so on. Defaults to the environment variable
            ``H2P_CPP_DIR``, or else the files are downloaded once and cached (see `download`).
        split (`str`, *optional*, defaults to `"train"`): `train`, `dev` or `test`; `dev_heldout` is a fixed fifth of
            dev (by a hash of the sentence) for validation, and `dev_train` the other four fifths.

    Raises:
        InputError: if a file is missing or malformed, naming file and line.
    """
    if split not in SPLITS:
        raise InputError(f"CPP has no split {split!r}: choose from {', '.join(SPLITS)}")
    name, _, part = split.partition("_")
    folder = folder or os.environ.get("H2P_CPP_DIR") or download(name)
    for record in _read_pair(Path(folder), name):
        if not part or (_fifth(record[1]) == 0) == (part == "heldout"):
            yield record


def _read_pair(folder: Path, name: str) -> Iterator[Record]:
    sentences, labels = folder / f"{name}.sent", folder / f"{name}.lb"
    for left, right in zip_longest(read_lines(sentences), read_lines(labels)):
        if left is None or right is None:
            raise InputError(f"{sentences} and {labels} must have the same number of lines")
        yield marked(f"{sentences}, line {left[0]}", left[1], "▁▁", right[1])


def _fifth(text: str) -> int:
    return blake2b(text.encode(), digest_size=8).digest()[0] % 5


def download(name: str) -> Path:
    """Fetch a split into the cache, or take it from there, and return the folder.

    A cached file is checked against the SHA-256 it had when it was first fetched, and a fresh one must have the
    published number of rows; `H2P_CPP_URL` names another server.

    Raises:
        InputError: if it cannot be fetched, or is not what was published.
    """
    folder = pooch.os_cache("h2p_hf") / "cpp"
    url = os.environ.get("H2P_CPP_URL", URL)
    for file in (f"{name}.sent", f"{name}.lb"):
        record = folder / f"{file}.sha256"
        known = record.read_text().strip() if record.exists() else None
        try:
            path = pooch.retrieve(url + file, known_hash=known, fname=file, path=folder)
        except Exception as error:  # requests raises many types; a wrong checksum is a ValueError
            raise InputError(f"cannot get CPP from {url + file}: {error}; or set H2P_CPP_DIR to a folder") from None
        if known is None:
            rows = sum(1 for _ in read_lines(path))
            if rows != SENTENCES[name]:
                Path(path).unlink()
                raise InputError(f"{url + file} has {rows} lines, published are {SENTENCES[name]}: fetch it again")
            record.write_text(pooch.file_hash(path) + "\n")
    return folder
