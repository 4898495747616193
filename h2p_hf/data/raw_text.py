"""Raw text for masked-LM pretraining: files and folders, plain or compressed, streamed."""

from collections.abc import Sequence
from pathlib import Path

from datasets import IterableDataset, interleave_datasets, load_dataset

from ..errors import InputError


def load_raw_text(paths: Sequence[str], seed: int = 0, temperature: float = 0.7) -> IterableDataset:
    """Stream lines of text from several sources, mixed.

    Each file is drawn with probability proportional to its size to the power of `temperature`, so that a large source
    does not drown the small ones (Conneau et al. 2020, XLM-R, section 3.1). The stream ends when each file was read.

    Args:
        paths (sequence of `str`): text files (``.txt``, also ``.xz``, ``.gz``) or folders of such files.
        seed (`int`, *optional*, defaults to 0): seed of the order.
        temperature (`float`, *optional*, defaults to 0.7): 1 is proportional to size, 0 uniform over files.

    Returns:
        `datasets.IterableDataset` with the column `text`.

    Raises:
        InputError: if a path does not exist or a folder holds no text file.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(path.glob("*.txt*")) if path.is_dir() else [path]
        if not inside or not all(file.is_file() for file in inside):
            raise InputError(f"no text in {path}: give .txt files (also .xz, .gz) or a folder of them")
        found += inside
    streams = [load_dataset("text", data_files=str(file), split="train", streaming=True) for file in found]
    streams = [stream.shuffle(seed=seed, buffer_size=2_000) for stream in streams]
    if len(streams) == 1:
        return streams[0]
    weights = [file.stat().st_size ** temperature for file in found]
    return interleave_datasets(
        streams, [w / sum(weights) for w in weights], seed=seed, stopping_strategy="all_exhausted"
    )
