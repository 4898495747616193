"""Raw text for masked-LM pretraining: files, folders and Hub datasets, streamed."""

from collections.abc import Sequence
from pathlib import Path

from datasets import IterableDataset, interleave_datasets, load_dataset, load_dataset_builder

from ..errors import InputError


def load_raw_text(sources: Sequence[str], seed: int = 0, temperature: float = 0.7) -> IterableDataset:
    """Stream lines of text from several sources, mixed.

    Each file is drawn with probability proportional to its size to the power of `temperature`, so that a large source
    does not drown the small ones (Conneau et al. 2020, XLM-R, section 3.1). The stream ends when each file was read.

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
    found: list[tuple[IterableDataset, int]] = []
    for source in sources:
        path = Path(source)
        if source.count("/") == 1 and not path.exists() and ".txt" not in path.name:
            found.append(_from_hub(source))
            continue
        inside = sorted(path.glob("*.txt*")) if path.is_dir() else [path]
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
    weights = [max(1, size) ** temperature for _, size in found]
    return interleave_datasets(
        streams, [w / sum(weights) for w in weights], seed=seed, stopping_strategy="all_exhausted"
    )


def _from_hub(name: str) -> tuple[IterableDataset, int]:
    """Return the train split of a Hub dataset and the size of the whole in bytes, 0 if it states none."""
    try:
        size = load_dataset_builder(name).info.dataset_size
        stream = load_dataset(name, split="train", streaming=True)
        first = next(iter(stream), {})
    except Exception as error:  # the Hub, the file system and the builders each raise their own
        raise InputError(f"cannot load the dataset {name}: {' '.join(str(error).split())}") from None
    if "text" not in first:
        raise InputError(f"{name}: no column 'text' in its train split: it has {', '.join(first) or 'no rows'}")
    return stream.select_columns("text"), size or 0
