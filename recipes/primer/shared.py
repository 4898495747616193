"""What the scripts of the primer share: how they start, how they score, how they sweep, and the table they end with."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import exp
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from datasets import Dataset
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from transformers import Trainer, TrainingArguments, set_seed

from h2p_hf.errors import InputError
from h2p_hf.evaluation import report_folder, save_figure
from h2p_hf.files import atomic_write
from h2p_hf.training import parse_args


@dataclass
class PrimerArguments(TrainingArguments):
    """`TrainingArguments`, each of them a flag, which look at the validation data after every epoch."""

    dropout: float = field(default=0.0, metadata={"help": "Fraction (0-1) of a layer's output to hide in training."})
    eval_strategy: str = "epoch"
    logging_strategy: str = "epoch"
    save_strategy: str = "no"

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be at least 0 and below 1, got {self.dropout}")


def start(arguments: type[TrainingArguments], description: str) -> tuple[TrainingArguments, Path]:
    """Read the flags, fix the random numbers, and make the output folder."""
    [args] = parse_args([arguments], description=description)
    set_seed(args.seed)
    return args, report_folder(args.output_dir)


def scores(labels: Sequence, guesses: Sequence) -> dict[str, float]:
    """Return accuracy, and precision, recall and F1 as means over classes, where a rare class counts like any other."""
    means = precision_recall_fscore_support(labels, guesses, average="macro", zero_division=0)[:3]
    names = ("precision", "recall", "f1")
    return {"accuracy": accuracy_score(labels, guesses), **dict(zip(names, map(float, means), strict=True))}


def best_class(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Keep of the logits only which class is best; there may be thousands."""
    return logits.argmax(-1)


def compute_metrics(found) -> dict[str, float]:
    """Score the classes that `best_class` kept."""
    return scores(found.label_ids.ravel(), found.predictions.ravel())


def measure(trainer: Trainer, dataset: Dataset) -> dict[str, float]:
    """Return the scores of a trainer's model, and its perplexity, which is among how many equally likely classes it chooses."""
    found = trainer.predict(dataset)
    return {"perplexity": exp(found.metrics["test_loss"]), **compute_metrics(found)}


METRICS = {"compute_metrics": compute_metrics, "preprocess_logits_for_metrics": best_class}
"""What a Trainer takes to report the four scores."""


def sweep(build: Callable[..., Trainer], folder: Path, **grid: Sequence) -> dict[str, float]:
    """Train with every combination of some options, and return the one with the lowest validation loss.

    Also writes sweep.json and sweep.png. The number of epochs is an option too, but costs no further runs: at a constant
    learning rate, a run of four epochs passes through what one, two and three give.

    Args:
        build: makes a trainer with fresh weights from options of `TrainingArguments`.
        folder: where to write.
        **grid: the values to try, by name of the option.
    """
    tried = []
    figure, axis = plt.subplots()
    for values in product(*grid.values()):
        options = dict(zip(grid, values, strict=True))
        trainer = build(**options)
        trainer.train()
        curve = {log["epoch"]: log["eval_loss"] for log in trainer.state.log_history if "eval_loss" in log}
        tried += [{**options, "num_train_epochs": epoch, "eval_loss": loss} for epoch, loss in curve.items()]
        axis.plot(list(curve), list(curve.values()), "o-", label=", ".join(f"{k} {v:g}" for k, v in options.items()))
    axis.set(xlabel="epochs", ylabel="validation loss")
    axis.legend(fontsize="small")
    save_figure(figure, folder / "sweep.png")
    with atomic_write(folder / "sweep.json") as file:
        json.dump(tried, file, indent=2)
    best = min(tried, key=lambda one: one["eval_loss"])
    print(f"best of the sweep: {best}")
    return {key: value for key, value in best.items() if key != "eval_loss"}


def report(rows: Mapping[str, Mapping[str, float]], folder: Path) -> None:
    """Print scores by name, and write them to metrics.json."""
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    width = max(map(len, rows))
    print("\n" + " " * width, *(f"{key:>11}" for key in keys))
    for name, row in rows.items():
        print(f"{name:{width}}", *(f"{row[key]:11.4f}" if key in row else " " * 11 for key in keys))
    with atomic_write(folder / "metrics.json") as file:
        json.dump(rows, file, indent=2)
