"""Files and Hub datasets that already have our columns: JSON lines, Parquet, `load_dataset`."""

from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset, load_dataset

from ..errors import InputError
from ..files import read_json_lines
from .records import Record


def read_jsonl(path: str | Path) -> Iterator[Record]:
    """Yield the rows of a JSON-lines file with the keys `text` and `pinyin`."""
    for where, row in read_json_lines(path):
        if not isinstance(row, dict) or not {"text", "pinyin"} <= row.keys():
            raise InputError(f"{where}: each line must be an object with the keys 'text' and 'pinyin'")
        yield where, row["text"], row["pinyin"]


def read_parquet(path: str | Path) -> Iterator[Record]:
    """Yield the rows of a Parquet file with the columns `text` and `pinyin`."""
    if not Path(path).is_file():
        raise InputError(f"cannot read {path}: no such file")
    try:
        dataset = Dataset.from_parquet(str(path))
    except Exception as error:  # pyarrow and datasets wrap each other's errors
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from None
    return _rows(dataset, str(path))


def read_hub(name: str, split: str) -> Iterator[Record]:
    """Yield the rows of a dataset on the Hub (or any id that `load_dataset` takes)."""
    try:
        dataset = load_dataset(name, split=split)
    except Exception as error:  # the Hub, the file system and the builders each raise their own
        raise InputError(f"cannot load the dataset {name}, split {split}: {' '.join(str(error).split())}") from None
    return _rows(dataset, f"{name}, split {split}")


def _rows(dataset: Dataset, source: str) -> Iterator[Record]:
    if missing := {"text", "pinyin"} - set(dataset.column_names):
        raise InputError(f"{source}: no column {min(missing)!r}: it has {', '.join(dataset.column_names)}")
    for number, row in enumerate(dataset, 1):
        yield f"{source}, row {number}", row["text"], row["pinyin"]
