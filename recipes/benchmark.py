"""Measure checkpoints and baselines side by side on one machine: speed, latency, start-up, memory; JSON and a plot.

python recipes/benchmark.py --files TEXT --systems bundled bundled@torch pypinyin g2pM g2pW-style --output runs/benchmark.json
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import matplotlib
import numpy as np
import torch
from transformers import BertConfig, BertForTokenClassification

import h2p_hf
from h2p_hf.data.raw_text import load_raw_text
from h2p_hf.errors import InputError, run
from h2p_hf.evaluation import BASELINES, checkpoint_name, load_system, save_figure
from h2p_hf.files import atomic_write
from h2p_hf.lexicon import is_polyphone

matplotlib.use("Agg")
import matplotlib.pyplot as plt

G2PW = "g2pW-style"
SENTENCE = "银行行长重新长大了。"
FIRST_RESULT = {
    "pypinyin": "from pypinyin import lazy_pinyin; lazy_pinyin({text!r})",
    "g2pM": "from g2pM import G2pM; G2pM()({text!r})",
}
"""What a new process runs until it has read one sentence; other systems are checkpoints."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--files", nargs="+", required=True, help="text files, folders or Hub datasets: one passage a line"
    )
    parser.add_argument(
        "--systems",
        nargs="+",
        default=["bundled", "bundled@torch", "pypinyin", "large_pinyin", "g2pM", G2PW],
        help="as in recipes/evaluate.py; g2pW-style is a BERT-base with random weights, one pass a polyphone",
    )
    parser.add_argument("--characters", type=int, default=20_000, help="how much text each system reads in a round")
    parser.add_argument("--rounds", type=int, default=5, help="the median of so many rounds counts")
    parser.add_argument("--output", help="JSON file to write; a plot of the same name goes beside it")
    args = parser.parse_args()
    if args.output and not args.output.endswith(".json"):
        raise InputError(f"{args.output}: give a name that ends in .json; the plot gets .png")
    if args.rounds < 1:
        raise InputError(f"rounds must be at least 1, got {args.rounds}")
    texts = take(load_raw_text(args.files), args.characters)
    systems = {name: g2pw_style() if name == G2PW else load_system(name) for name in args.systems}
    # A pass for every polyphone takes seconds a passage.
    share = {name: texts[: 8 if name == G2PW else None] for name in systems}
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for system in systems.values():
        system([SENTENCE])  # loads what is loaded on first use
    for _ in range(args.rounds):  # in turn, so that a slow moment of the machine hits all
        for name, system in systems.items():
            seconds[name].append(timed(system, share[name]))
    sentences = take_sentences(texts, 200)
    report: dict = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        + (torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"),
        "threads": torch.get_num_threads(),
        "characters": sum(map(len, texts)),
        "passages": len(texts),
        "systems": {},
    }
    for name, system in systems.items():
        latency = [timed(system, [one]) for one in sentences[: 20 if name == G2PW else None]]
        report["systems"][name] = {
            "characters_per_second": sum(map(len, share[name])) / median(seconds[name]),
            "seconds": seconds[name],
            "p50_ms": 1000 * float(np.percentile(latency, 50)),
            "p95_ms": 1000 * float(np.percentile(latency, 95)),
            **first_result(name),
        }
    report["scaling"] = {} if args.systems[0] in (*BASELINES, G2PW) else scaling("".join(texts), args.systems[0])
    print(table(report))
    if args.output:
        with atomic_write(args.output) as file:
            json.dump(report, file, indent=2, ensure_ascii=False)
        plot(report, Path(args.output).with_suffix(".png"))


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


def take_sentences(texts: list[str], count: int) -> list[str]:
    """Take the first sentences of passages, for the latency of one sentence."""
    return [sentence for text in texts if (sentence := text.partition("。")[0] + "。") != "。"][:count]


def timed(system: Callable, texts: list[str]) -> float:
    """Return the seconds that a system takes for texts."""
    start = time.perf_counter()
    system(texts)
    return time.perf_counter() - start


def g2pw_style() -> Callable:
    """Return a system with the cost of g2pW: a BERT-base that reads the sentence once for each polyphone in it."""
    model = BertForTokenClassification(BertConfig(vocab_size=21_128, num_labels=1_500)).eval()

    @torch.inference_mode()
    def read(texts: list[str]) -> None:
        for text in texts:
            for start in range(0, len(text), 510):
                part = text[start : start + 510]
                for _ in filter(is_polyphone, part):
                    model(torch.randint(200, 21_000, (1, len(part) + 2)))

    return read


def first_result(name: str) -> dict[str, float]:
    """Return the seconds from the start of a process to its first result, and its memory then in MiB; medians of three."""
    if name in FIRST_RESULT:
        code = FIRST_RESULT[name]
    elif name in (*BASELINES, G2PW):  # these exist for comparison only
        return {}
    else:
        asked = checkpoint_name(name)
        options = f"{asked.model!r}, {asked.revision!r}, backend={asked.backend!r}"
        code = f"import h2p_hf; h2p_hf.pipeline({options})({{text!r}})"
    # Not ru_maxrss of the child, which is never below what this process had when it was forked.
    code += "; print(flush=True); import psutil; print(psutil.Process().memory_info().rss)"
    runs = []
    for _ in range(4):  # the first fills the caches
        start = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", code.format(text=SENTENCE)], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            seconds = time.perf_counter() - start
            memory = process.stdout.read()
        if process.returncode:
            raise InputError(f"{name} failed in a new process: see its message above")
        runs.append((seconds, int(memory) / 2**20))
    return {key: median(run[i] for run in runs[1:]) for i, key in enumerate(("first_result_seconds", "memory_mib"))}


def scaling(text: str, name: str) -> dict[str, dict[str, float]]:
    """Return the characters a second of a checkpoint by length of text and by batch size."""
    asked = checkpoint_name(name)
    pipe = h2p_hf.pipeline(asked.model, asked.revision, backend=asked.backend)

    def speed(length: int, batch_size: int) -> float:
        texts = [text[i : i + length] for i in range(0, min(len(text), 10_000), length)]
        runs = [timed(lambda some: list(pipe.readings(some, batch_size=batch_size)), texts) for _ in range(3)]
        return sum(map(len, texts)) / median(runs)

    return {
        "length": {str(length): speed(length, 32) for length in (8, 16, 32, 64, 128, 256, 512)},
        "batch_size": {str(size): speed(40, size) for size in (1, 2, 4, 8, 16, 32, 64, 128)},
    }


def table(report: dict) -> str:
    """Format a report as Markdown."""
    lines = [
        f"{report['characters']} characters in {report['passages']} passages; {report['machine']}",
        "",
        "| system | characters/s | one sentence, p50 ms | p95 ms | first result, s | memory, MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in report["systems"].items():
        start, memory = (row.get(key) for key in ("first_result_seconds", "memory_mib"))
        lines.append(
            f"| {name} | {row['characters_per_second']:,.0f} | {row['p50_ms']:.2f} | {row['p95_ms']:.2f} "
            f"| {f'{start:.2f}' if start else '-'} | {f'{memory:,.0f}' if memory else '-'} |"
        )
    (first, top), *others = report["systems"].items()
    for name, row in others:
        speed = top["characters_per_second"] / row["characters_per_second"]
        lines.append(
            f"{first} against {name}: {speed:.2f} times the characters/s, {row['p50_ms'] / top['p50_ms']:.1f}"
        )
        lines[-1] += " times faster for one sentence"
    return "\n".join(lines)


def plot(report: dict, path: Path) -> None:
    """Draw speeds, and how the first system scales."""
    names = list(report["systems"])
    panels = 1 + len(report["scaling"])
    figure, axes = plt.subplots(1, panels, figsize=(5 * panels, 3.5), squeeze=False)
    speeds = [report["systems"][name]["characters_per_second"] for name in names]
    bars = axes[0, 0].barh(names[::-1], speeds[::-1])
    axes[0, 0].bar_label(bars, fmt="{:,.0f}", padding=3)
    axes[0, 0].set(xscale="log", xlabel="characters a second", xlim=(min(speeds) / 2, max(speeds) * 8))
    for axis, (what, found) in zip(axes[0, 1:], report["scaling"].items(), strict=True):
        axis.plot([int(size) for size in found], list(found.values()), "o-")
        axis.set_xscale("log", base=2)
        axis.set(xlabel={"length": "characters a text", "batch_size": "batch size, texts of 40 characters"}[what])
        axis.set(ylabel="characters a second", title=names[0], ylim=(0, None))
    figure.tight_layout()
    save_figure(figure, path)


if __name__ == "__main__":
    run(main)
