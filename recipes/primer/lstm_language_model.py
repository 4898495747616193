"""Primer 2: an LSTM that learns to write Chinese, one character after the other, and a sweep over how to train it.

python recipes/primer/lstm_language_model.py
To try: --temperature 0.3, --sweep_part 0 --learning_rate 0.003 --num_train_epochs 8, --dropout 0, --hidden_size 256
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from math import exp

import numpy as np
import torch
from datasets import Dataset
from huggingface_hub import PyTorchModelHubMixin
from shared import METRICS, PrimerArguments, measure, report, scores, start, sweep
from torch import nn
from transformers import Trainer

from h2p_hf.data import load
from h2p_hf.errors import run

UNKNOWN, END, LENGTH, PARTS = "□", "\n", 64, ("train", "validation", "test")
SWEEP = {"learning_rate": (1e-3, 1e-2, 3e-2), "per_device_train_batch_size": (8, 32)}


@dataclass
class Arguments(PrimerArguments):  # every option of a Trainer is a flag; these are the ones to play with
    output_dir: str = "runs/primer/lstm_language_model"
    learning_rate: float = 1e-2
    per_device_train_batch_size: int = 8
    num_train_epochs: float = 4
    lr_scheduler_type: str = "constant"
    dropout: float = 0.3
    hidden_size: int = 128
    sweep_part: int = 7
    max_samples: int = 12_000  # of each part
    temperature: float = 0.8


class CharLSTM(nn.Module, PyTorchModelHubMixin):
    def __init__(self, alphabet: str, hidden_size: int, dropout: float):
        super().__init__()
        self.alphabet = alphabet
        self.embedding = nn.Embedding(len(alphabet), hidden_size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.lstm = nn.LSTM(hidden_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input_ids, labels=None):
        states, _ = self.lstm(self.dropout(self.embedding(input_ids)))  # a state is what is left of all before
        logits = self.dropout(states) @ self.embedding.weight.T  # the table that reads characters also writes them
        loss = {} if labels is None else {"loss": nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())}
        return {**loss, "logits": logits}

    def write(self, text, temperature):
        while len(text) < 30 and not text.endswith(END):
            logits = self(torch.tensor([[self.alphabet.index(char) for char in END + text]]))["logits"][0, -1]
            text += self.alphabet[torch.multinomial((logits / max(temperature, 0.01)).softmax(0), 1)]
        return text.strip()


def main() -> None:
    args, folder = start(Arguments, __doc__)

    # 1. Data. The alphabet is what the training part has more than once; the rest is unknown, in every part.
    texts = {p: END.join(load(f"bundled@{p}").shuffle(args.seed)[: args.max_samples]["text"]) for p in PARTS}
    alphabet = UNKNOWN + "".join(char for char, count in Counter(texts["train"]).items() if count > 1)
    data = {}
    for part, text in texts.items():  # rows of 64 characters; the answer to each is the one that follows
        ids = torch.tensor([max(0, alphabet.find(char)) for char in text])
        rows = ids.unfold(0, LENGTH + 1, LENGTH).numpy()
        data[part] = Dataset.from_dict({"input_ids": rows[:, :-1], "labels": rows[:, 1:]})

    def trainer(data, **options):
        parts = {"train_dataset": data["train"], "eval_dataset": data["validation"]}
        fresh = partial(CharLSTM, alphabet, args.hidden_size, args.dropout)
        return Trainer(args=replace(args, **options), model_init=fresh, **parts, **METRICS)

    # 2. Sweep, on a part of the rows. What is best is for the validation part to say, never for the test part.
    few = {part: rows.shard(max(1, args.sweep_part), 0) for part, rows in data.items()}
    best = sweep(partial(trainer, few), folder, **SWEEP) if args.sweep_part > 0 else {}

    # 3. Train on all rows. Perplexity: among how many equally likely characters the model is left to choose.
    counts = np.bincount(np.ravel(data["train"]["labels"]), minlength=len(alphabet)) + 1
    labels = np.ravel(data["test"]["labels"])
    results = {"frequencies": {"perplexity": exp(-np.log(counts / counts.sum())[labels].mean())}}
    results["frequencies"] |= scores(labels, np.full_like(labels, counts.argmax()))
    final = trainer(data, **best)
    results["untrained"] = measure(final, data["test"])
    final.train()
    results["trained"] = measure(final, data["test"])
    final.model.cpu().eval().save_pretrained(folder)
    print(*(final.model.write(text, args.temperature) for text in ("今天", "他", "这", "我们")), sep=END)
    report(results, folder)


if __name__ == "__main__":
    run(main)
