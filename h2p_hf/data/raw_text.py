"""Raw text for masked-LM pretraining: files, folders and Hub datasets, streamed."""

from collections.abc import Sequence
from pathlib import Path

from datasets import IterableDataset, interleave_datasets, load_dataset, load_dataset_builder

from ..errors import InputError


def load_raw_text(sources: Sequence[str], seed: int = 0, temperature: float = 0.7) -> IterableDataset:
    """Stream lines of text from several sources, mixed.

    Each file or Hub dataset is drawn with probability proportional to its size in bytes to the power of `temperature`
    (the mean size, for a dataset that states none), so that a large source does not drown the small ones (Conneau et
    al. 2020, XLM-R, section 3.1). The stream ends when each was read.

    Args:
        sources (sequence of `str`): text files (``.txt``, also ``.xz``, ``.gz``), folders of such files, or ids of Hub
            datasets with a column `text`, of which the train split is read.
        seed (`int`, *optional*, defaults to 0): seed of the order.
        temperature (`float`, *optional*, defaults to 0.7): 1 is proportional to size, 0 uniform over files.

    Returns:
        `datasets.IterableDataset` with the column `text`.

    Raises:
        InputError: if a path does not exist, a folder holds no text file, or a Hub dataset cannot be loaded.
    """
    found: list[tuple[IterableDataset, int | None]] = []
    for source in sources:
        if _is_hub_id(source):
            found.append(_from_hub(source))
            continue
        path = Path(source).expanduser()
        inside = sorted(path.glob("*.txt*")) if path.is_dir() else [path]
        inside = [file for file in inside if not file.is_file() or file.stat().st_size]
        if not inside or not all(file.is_file() for file in inside):
            raise InputError(
                f"no text in {source}: give .txt files (also .xz, .gz), a folder of them or the id of a Hub dataset"
            )
        for file in inside:
            stream = load_dataset("text", data_files=str(file), split="train", streaming=True)
            found.append((stream, file.stat().st_size))
    streams = [stream.shuffle(seed=seed, buffer_size=2_000) for stream, _ in found]
    if len(streams) == 1:
        return streams[0]
    known = [size for _, size in found if size]
    weights = [(size or (sum(known) / len(known) if known else 1)) ** temperature for _, size in found]
    return interleave_datasets(
        streams, [w / sum(weights) for w in weights], seed=seed, stopping_strategy="all_exhausted"
    )


def _is_hub_id(source: str) -> bool:
    path = Path(source)
    return len(path.parts) == 2 and source[:1] not in "./~" and ".txt" not in path.name and not path.exists()


def _from_hub(name: str) -> tuple[IterableDataset, int | None]:
    """Return the train split of a Hub dataset, and its size in bytes if it states one."""
    try:
        splits = load_dataset_builder(name).info.splits or {}
        stream = load_dataset(name, split="train", streaming=True)
        first = next(iter(stream), {})
    except Exception as error:  # the Hub, the file system and the builders each raise their own
        raise InputError(
            f"there is no file or folder {name}, and no such dataset can be loaded: {' '.join(str(error).split())}"
        ) from None
    if not isinstance(first.get("text"), str):
        raise InputError(
            f"{name}: no column 'text' of strings in its train split: it has {', '.join(first) or 'no rows'}"
        )
    size = splits["train"].num_bytes if "train" in splits else None
    return stream.select_columns("text").filter(lambda row: row["text"]), size
