"""Primer 1: read handwritten digits with a CNN, from raw images to precision and recall, in seconds.

python recipes/primer/digits_cnn.py
To try: --dropout 0 --weight_decay 0 --train_images 100, --optim sgd, --learning_rate 0.1, --seed 1
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from datasets import Dataset
from huggingface_hub import PyTorchModelHubMixin
from shared import METRICS, PrimerArguments, report, save_figure, scores, start
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from torch import nn
from transformers import Trainer

from h2p_hf.errors import InputError, run


@dataclass
class Arguments(PrimerArguments):  # every option of a Trainer is a flag; these are the ones to play with
    output_dir: str = "runs/primer/digits_cnn"
    learning_rate: float = 3e-3
    per_device_train_batch_size: int = 32
    num_train_epochs: float = 20
    weight_decay: float = 0.01
    dropout: float = 0.3
    train_images: int = 1257


class DigitsCNN(nn.Module, PyTorchModelHubMixin):  # with save_pretrained, from_pretrained and push_to_hub
    def __init__(self, mean: float, std: float, dropout: float):
        super().__init__()
        self.mean, self.std, layers = mean, std, []
        for channels, wider in ((1, 32), (32, 64), (64, 64)):  # filters that see 3x3, 5x5, then 7x7 pixels
            layers += [nn.Conv2d(channels, wider, 3, padding=1), nn.BatchNorm2d(wider), nn.ReLU()]
        self.filters = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten())  # the best match, wherever it is
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(64, 10))

    def forward(self, pixels, labels=None):
        logits = self.head(self.filters((pixels[:, None] - self.mean) / self.std))
        loss = {} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels)}
        return {**loss, "logits": logits}


def clean(images, labels):
    """Leave out what is no image in 17 shades, blank images, and copies: one might be in training and one in test."""
    rows = images.reshape(len(images), -1)
    bad = ~np.isin(rows, range(17)).all(axis=1) | (rows.min(axis=1) == rows.max(axis=1))
    copy = ~bad & ~np.isin(np.arange(len(rows)), np.unique(rows, axis=0, return_index=True)[1])
    print(f"{len(rows)} images; left out: {bad.sum()} out of range or blank, {copy.sum()} copies")
    return images[~bad & ~copy], labels[~bad & ~copy]


def main() -> None:
    args, folder = start(Arguments, __doc__)
    if args.train_images < 30:
        raise InputError(f"train_images must be at least 30, got {args.train_images}")

    # 1. Data: clean, then split before anything is measured, with the same share of each digit everywhere.
    x, y = clean(load_digits().images.astype("float32"), load_digits().target)
    rest, test = train_test_split(np.arange(len(y)), test_size=360, stratify=y, random_state=args.seed)
    train, validation = train_test_split(rest, test_size=180, stratify=y[rest], random_state=args.seed)
    train = train[: args.train_images]

    # 2. Look: PCA turns 64 pixels into a few numbers that keep most of the variance. Two make a plot, 30 a baseline.
    flat = x.reshape(len(x), -1)
    pca = PCA(30, random_state=args.seed).fit(flat[train])
    print("variance kept: {1:.1%} by 2 numbers, {29:.1%} by 30".format(*pca.explained_variance_ratio_.cumsum()))
    plt.scatter(*pca.transform(flat[train]).T[:2], c=y[train], cmap="tab10", s=8)
    plt.colorbar(label="digit")
    save_figure(plt.gcf(), folder / "pca.png")
    neighbours = KNeighborsClassifier(3).fit(pca.transform(flat[train]), y[train])

    # 3. Train. Mean and spread are those of the training images alone; the model keeps them.
    model = DigitsCNN(float(x[train].mean()), float(x[train].std()), args.dropout)
    parts = [Dataset.from_dict({"pixels": x[rows], "labels": y[rows]}) for rows in (train, validation)]
    trainer = Trainer(model, args, train_dataset=parts[0], eval_dataset=parts[1], **METRICS)
    trainer.train()
    model.save_pretrained(folder)

    # 4. Evaluate, once, on the test images, and on the same images moved to the right by one pixel.
    results = {}
    for place, seen in (("moved", np.pad(x, ((0, 0), (0, 0), (1, 0)))[test, :, :8]), ("", x[test])):
        classic = neighbours.predict(pca.transform(seen.reshape(len(seen), -1)))
        ours = trainer.predict(Dataset.from_dict({"pixels": seen})).predictions
        for name, guesses in (("PCA and 3 neighbours", classic), ("CNN", ours)):
            results[f"{name} {place}".strip()] = scores(y[test], guesses)
    wrong = ours != y[test]
    print("some mistakes (digit, guess):", *list(zip(y[test][wrong].tolist(), ours[wrong].tolist(), strict=True))[:9])
    report(results, folder)


if __name__ == "__main__":
    run(main)
