"""Evaluate systems on datasets and write the report: metrics.json, per_character.csv, errors.jsonl, confusions.png."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset

from .auto import BACKENDS, pipeline
from .baselines import System, g2pm_system, large_pinyin_system, majority_system, pypinyin_system
from .data import load
from .errors import InputError
from .files import atomic_write, json_line
from .metrics import pinyin_scores, polyphone_positions

EXAMPLES = 8
"""Errors that a summary shows."""

BASELINES = ("pypinyin", "large_pinyin", "g2pM", "majority")

COLUMNS = {
    "accuracy": "sample",
    "accuracy_by_character": "character",
    "accuracy_by_reading": "reading",
    "precision_macro": "precision",
    "recall_macro": "recall",
    "f1_macro": "F1",
    "hanzi_accuracy": "all hanzi",
    "sentence_accuracy": "sentence",
}
"""What the printed table shows, and the heading of each column."""


def load_system(name: str, majority_data: Dataset | None = None, **parameters) -> System:
    """Return a baseline by name, or the pipeline of a checkpoint.

    Args:
        name (`str`): one of `BASELINES`, a checkpoint folder or a Hub id (``user/name@revision``); with ``@argmax`` at the end the
            checkpoint is read without the lexicon, as plain ``pipeline("token-classification")`` does, and with the name of a
            backend (``@torch``, ``@onnx-int8``) by that one. ``bundled`` is the checkpoint of the package.
        majority_data (`Dataset`, *optional*): what the majority baseline counts; defaults to our own training split.
        parameters: for `auto.pipeline`.

    Raises:
        InputError: if a baseline is not installed or the checkpoint cannot be loaded.
    """
    if name == "majority":
        return majority_system(load("bundled") if majority_data is None else majority_data)
    if name == "g2pM":
        return g2pm_system()
    if name in ("pypinyin", "large_pinyin"):
        return pypinyin_system if name == "pypinyin" else large_pinyin_system
    asked = checkpoint_name(name)
    if asked.argmax:
        parameters["use_lexicon"] = False
    return pipeline_system(pipeline(asked.model, asked.revision, backend=asked.backend, **parameters))


class CheckpointName(NamedTuple):
    """What the name of a system asks for: the arguments of `auto.pipeline`, and whether to read without the lexicon."""

    model: str | None
    revision: str | None
    backend: str | None
    argmax: bool


def checkpoint_name(name: str) -> CheckpointName:
    """Parse ``CHECKPOINT[@REVISION][@BACKEND]``, the latter also ``argmax``.

    Example:
        >>> checkpoint_name("me/mine@v2@argmax")
        CheckpointName(model='me/mine', revision='v2', backend='torch', argmax=True)
    """
    model, _, option = name.rpartition("@")
    if not model or option not in ("argmax", *BACKENDS):  # a path may have an @ too
        model, option = name, None
    argmax = option == "argmax"
    repo_id, _, revision = model.partition("@")
    if not (revision and repo_id.count("/") == 1) or Path(model).exists():
        repo_id, revision = model, None
    return CheckpointName(None if repo_id == "bundled" else repo_id, revision, "torch" if argmax else option, argmax)


def pipeline_system(pipe, **parameters) -> System:
    """Return a `HanziToPinyinPipeline`, with parameters of a call if need be, as a system."""
    return lambda texts: list(pipe.readings(texts, **parameters))


def evaluate_system(system: System, dataset: Dataset) -> tuple[dict[str, float], list[list[str | None]]]:
    """Return the scores of a system on a dataset (see `metrics.pinyin_scores`), and its predictions."""
    texts = list(dataset["text"])
    predictions = system(texts)
    return pinyin_scores(texts, dataset["pinyin"], predictions), predictions


def table(rows: Mapping[tuple[str, str], Mapping[str, float]]) -> str:
    """Format scores, in per cent, as a Markdown table.

    Args:
        rows (mapping): scores by pair of dataset name and system name.
    """
    header = ["data", "system", "polyphones", *COLUMNS.values()]
    body = [
        [data, system, str(scores["polyphones"]), *(f"{100 * scores[key]:.2f}" for key in COLUMNS)]
        for (data, system), scores in rows.items()
    ]
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]

    def line(cells: Iterable[str]) -> str:
        padded = [
            cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * w if i < 2 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(header), "| " + " | ".join(rule) + " |", *map(line, body)])


def report_folder(*parts: str | Path) -> Path:
    """Make the folder of a report; dataset and system names become single folder names.

    Raises:
        InputError: if it cannot be made.
    """
    first, *names = parts
    folder = Path(first).joinpath(*(str(name).strip("./").replace("/", "_") for name in names))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}") from None
    return folder


def write_report(
    folder: str | Path,
    dataset: Dataset,
    predictions: Sequence[Sequence[str | None]],
    scores: Mapping[str, float],
    title: str,
) -> list[dict]:
    """Write what there is to know about one system on one dataset into a folder (see `report_folder`), and return the errors.

    - metrics.json: the scores;
    - per_character.csv: a line for each polyphone and reading: occurrences, how many are right, the most frequent wrong
      answer;
    - errors.jsonl: each wrong polyphone with its sentence, offset, reference and prediction;
    - confusions.png: reference against prediction for the characters with the most errors.
    """
    folder = Path(folder)
    answers: dict[tuple[str, str], Counter] = defaultdict(Counter)
    errors = []
    for row, guess in zip(dataset, predictions, strict=True):
        for at in polyphone_positions(row["text"], row["pinyin"]):
            char, gold = row["text"][at], row["pinyin"][at]
            answers[char, gold][guess[at]] += 1
            if guess[at] != gold:
                errors.append({"text": row["text"], "start": at, "char": char, "pinyin": gold, "predicted": guess[at]})
    with atomic_write(folder / "metrics.json") as file:
        json.dump(dict(scores), file, indent=2)
        file.write("\n")
    with atomic_write(folder / "errors.jsonl") as file:
        file.writelines(map(json_line, errors))
    with atomic_write(folder / "per_character.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["char", "pinyin", "count", "right", "accuracy", "worst_confusion"])
        for (char, gold), found in sorted(answers.items()):
            count, right = found.total(), found[gold]
            wrong = next((str(guess) for guess, _ in found.most_common() if guess != gold), "")
            writer.writerow([char, gold, count, right, f"{right / count:.4f}", wrong])
    _plot(folder / "confusions.png", answers, title)
    return errors


def write_summary(
    path: str | Path,
    results: Mapping[tuple[str, str], Mapping[str, float]],
    system: str,
    errors: Sequence[dict],
    **facts: Any,
) -> None:
    """Write metrics.json, which has what a model card says of a checkpoint (see `hub.model_card`).

    Args:
        results (mapping): scores by pair of dataset name and system name.
        system (`str`): which of the systems the checkpoint is.
        errors (sequence of `dict`): what it read wrong, see `write_report`; a few of them, from all over, are kept.
        facts: how the checkpoint was made, in whatever JSON takes.
    """
    by_dataset: dict[str, dict[str, Mapping[str, float]]] = {}
    for (data, name), scores in results.items():
        by_dataset.setdefault(data, {})[name] = scores
    step = max(1, len(errors) // EXAMPLES)
    summary = {**facts, "system": system, "results": by_dataset, "errors": errors[step // 2 :: step][:EXAMPLES]}
    with atomic_write(path) as file:
        json.dump(summary, file, indent=2, ensure_ascii=False)
        file.write("\n")


def _plot(path: Path, answers: Mapping[tuple[str, str], Counter], title: str, most: int = 12) -> None:
    """Draw one small confusion matrix for each of the characters with the most errors."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import font_manager

    wrong: Counter = Counter()
    for (char, gold), found in answers.items():
        wrong[char] += found.total() - found[gold]
    worst = [char for char, count in wrong.most_common(most) if count]
    installed = {font.name for font in font_manager.fontManager.ttflist}
    fonts = [
        f
        for f in ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC", "SimHei")
        if f in installed
    ]
    columns = 4
    lines = max(1, -(-len(worst) // columns))
    with plt.rc_context({"font.family": [*fonts, "DejaVu Sans"]}):
        figure, axes = plt.subplots(lines, columns, figsize=(3.2 * columns, 3.0 * lines), squeeze=False)
        for axis, char in zip(axes.flat, worst, strict=False):
            golds = sorted(gold for c, gold in answers if c == char)
            guesses = sorted(set(golds) | {str(g) for gold in golds for g in answers[char, gold]})
            counts = [[answers[char, gold][guess] for guess in guesses] for gold in golds]
            axis.imshow(counts, cmap="Blues")
            axis.set_xticks(range(len(guesses)), guesses, rotation=45, fontsize=8)
            axis.set_yticks(range(len(golds)), golds, fontsize=8)
            # Without a Chinese font the character would be an empty box.
            axis.set_title(f"{char if fonts else f'U+{ord(char):04X}'}: {wrong[char]} wrong", fontsize=10)
            for y, row in enumerate(counts):
                for x, count in enumerate(row):
                    dark = count > max(map(max, counts)) / 2
                    axis.text(x, y, count, ha="center", va="center", fontsize=8, color="white" if dark else "black")
        for axis in axes.flat[len(worst) :]:
            axis.axis("off")
        figure.suptitle(f"{title}: reference (rows) against prediction (columns)", fontsize=11)
        figure.tight_layout()
        save_figure(figure, path, dpi=100)
        plt.close(figure)


def save_figure(figure, path: str | Path, dpi: int = 120) -> None:
    """Write a figure of matplotlib, which takes its name only when it is whole."""
    path = Path(path)
    partial = path.with_suffix(f".part{path.suffix}")
    figure.savefig(partial, dpi=dpi)
    partial.replace(path)
