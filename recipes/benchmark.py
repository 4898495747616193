"""Measure how many characters a second checkpoints and baselines read, side by side on one machine.

python recipes/benchmark.py --files TEXT --systems bundled pypinyin large_pinyin g2pM --output runs/benchmark.json
"""

import argparse
import json
import platform
import time
from itertools import islice
from statistics import median

import torch

from h2p_hf.data.raw_text import load_raw_text
from h2p_hf.errors import InputError, run
from h2p_hf.evaluation import load_system
from h2p_hf.files import atomic_write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--files", nargs="+", required=True, help="text files, folders or Hub datasets: one passage a line"
    )
    parser.add_argument(
        "--systems",
        nargs="+",
        default=["bundled", "pypinyin", "large_pinyin", "g2pM"],
        help="as in recipes/evaluate.py",
    )
    parser.add_argument("--characters", type=int, default=20_000, help="how much text each system reads in a round")
    parser.add_argument("--rounds", type=int, default=5, help="the median of so many rounds counts")
    parser.add_argument("--output", help="JSON file to write")
    args = parser.parse_args()
    if args.rounds < 1:
        raise InputError(f"rounds must be at least 1, got {args.rounds}")
    texts = take(load_raw_text(args.files), args.characters)
    characters = sum(map(len, texts))
    systems = {name: load_system(name) for name in args.systems}
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for system in systems.values():
        system(texts[:8])  # loads what is loaded on first use
    for _ in range(args.rounds):  # in turn, so that a slow moment of the machine hits all
        for name, system in systems.items():
            start = time.perf_counter()
            system(texts)
            seconds[name].append(time.perf_counter() - start)
    speed = {name: characters / median(runs) for name, runs in seconds.items()}
    first = args.systems[0]
    report = {
        "characters": characters,
        "passages": len(texts),
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'}",
        "characters_per_second": speed,
        "seconds": seconds,
    }
    print(f"{characters} characters in {len(texts)} passages, {report['threads']} threads, {report['machine']}")
    print(f"| system | characters/s | {first} is faster by |\n| --- | ---: | ---: |")
    for name in systems:
        print(f"| {name} | {speed[name]:,.0f} | {speed[first] / speed[name]:.2f} |")
    if args.output:
        with atomic_write(args.output) as file:
            json.dump(report, file, indent=2, ensure_ascii=False)


def take(stream, characters: int) -> list[str]:
    """Take passages until they have so many characters."""
    texts: list[str] = []
    total = 0
    for row in islice(stream, characters):
        if total >= characters:
            break
        texts.append(row["text"])
        total += len(row["text"])
    if not total:
        raise InputError("there is no text in these files")
    return texts


if __name__ == "__main__":
    run(main)
