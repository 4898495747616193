"""Knowledge distillation: soft labels of teachers, and the Trainer that learns them beside the labels."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from datasets import Dataset, Features, List, Value
from transformers import DataCollatorForTokenClassification

from .auto import pipeline
from .baselines import g2pm_probabilities
from .data import FEATURES
from .errors import InputError
from .evaluation import checkpoint_name
from .lexicon import readings
from .training import PinyinTrainer, PinyinTrainingArguments

SOFT_FEATURES = Features(
    {**FEATURES, "soft": List(List({"reading": Value("string"), "probability": Value("float32")}))}
)
"""The common columns, and `soft`: for each character its candidates with their probabilities, none for what has none."""

Probabilities = dict[str, float]
Teacher = Callable[[Iterable[str]], Iterator[list[Probabilities]]]
"""Takes texts and yields for each a list as long as the text: the probability of each candidate, empty where unknown."""


@dataclass
class DistillationArguments(PinyinTrainingArguments):
    """`PinyinTrainingArguments` and what is about teachers."""

    teachers: list[str] = field(
        default_factory=lambda: ["bundled"],
        metadata={"help": "Checkpoints (folders, Hub ids, bundled) or g2pM; of several the mean probabilities count."},
    )
    teacher_weights: list[float] | None = field(
        default=None, metadata={"help": "How much each teacher counts in the mean. Default: all the same."}
    )
    temperature: float = field(
        default=2.0, metadata={"help": "Above 1 the less likely readings count more (Hinton et al. 2015)."}
    )
    soft_weight: float = field(
        default=0.5, metadata={"help": "Share of the teachers in the loss, 0-1; the rest is for the labels."}
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.temperature > 0:
            raise InputError(f"temperature must be above 0, got {self.temperature}")
        if not 0 <= self.soft_weight <= 1:
            raise InputError(f"soft_weight must be from 0 to 1, got {self.soft_weight}")
        if self.teacher_weights and len(self.teacher_weights) != len(self.teachers):
            raise InputError(f"teacher_weights: give one for each of the {len(self.teachers)} teachers")
        if self.teacher_weights and min(self.teacher_weights) <= 0:
            raise InputError("teacher_weights must be above 0")
        self.remove_unused_columns = False  # the soft labels are no input of the model


def load_teacher(name: str, **parameters) -> Teacher:
    """Return a checkpoint with our decoding (phrases, candidates of the lexicon) or g2pM as a teacher.

    Args:
        name (`str`): a folder, a Hub id (``user/name@revision``), ``bundled`` or ``g2pM``.
        parameters: for `auto.pipeline`.

    Raises:
        InputError: if it cannot be loaded.
    """
    if name == "g2pM":
        tagger = g2pm_probabilities()
        return lambda texts: (
            [_spread(char, *guess) for char, guess in zip(text, tagger(text), strict=True)] for text in texts
        )
    asked = checkpoint_name(name)
    pipe = pipeline(asked.model, asked.revision, backend=asked.backend, **parameters)
    return lambda texts: (
        [dict(zip(found[0], map(float, found[1]), strict=True)) if found else {} for found in row]
        for row in pipe.probabilities(texts)
    )


def _spread(char: str, guess: str | None, probability: float | None) -> Probabilities:
    """Return g2pM's guess with its probability, and the other readings with an equal share of the rest."""
    others = [reading for reading in readings(char) if reading != guess]
    if probability is None or len(others) == len(readings(char)):
        return {}
    return {guess: probability, **dict.fromkeys(others, (1 - probability) / max(len(others), 1))}


def add_soft_labels(
    dataset: Dataset, teachers: Sequence[Teacher], temperature: float = 1.0, weights: Sequence[float] | None = None
) -> Dataset:
    """Add the mean of the teachers' probabilities, weighted if asked, as a column `soft` (see `SOFT_FEATURES`).

    A teacher's probabilities at a temperature T are its p ** (1 / T), normalised: what a softmax of its scores over T gives.
    A character that no teacher knows has no soft label.
    """
    weights = weights or [1.0] * len(teachers)

    def label(batch: dict) -> dict:
        rows = zip(*(teacher(batch["text"]) for teacher in teachers), strict=True)
        return {"soft": [[_mean(found, weights, temperature) for found in zip(*row, strict=True)] for row in rows]}

    return dataset.map(label, batched=True, features=SOFT_FEATURES, desc="Asking the teachers")


def _mean(found: Sequence[Probabilities], weights: Sequence[float], temperature: float) -> list[dict]:
    mean: dict[str, float] = defaultdict(float)
    known = sum(weight for probabilities, weight in zip(found, weights, strict=True) if probabilities)
    for probabilities, weight in zip(found, weights, strict=True):
        powers = {reading: p ** (1 / temperature) for reading, p in probabilities.items()}
        for reading, power in powers.items():
            mean[reading] += weight / known * power / sum(powers.values())
    best_first = sorted(mean.items(), key=lambda pair: -pair[1])
    return [{"reading": reading, "probability": probability} for reading, probability in best_first]


class SoftLabelCollator(DataCollatorForTokenClassification):
    """Pads `soft_ids` and `soft_probabilities` like the rest: `(batch_size, sequence_length, SOFT_LABELS)`."""

    def torch_call(self, features):
        soft = {
            name: [torch.tensor(row.pop(name)) for row in features]
            for name in ("soft_ids", "soft_probabilities")
            if name in features[0]
        }
        batch = super().torch_call(features)
        length = batch["input_ids"].shape[1]
        for name, rows in soft.items():
            filler = -100 if name == "soft_ids" else 0.0
            batch[name] = torch.stack(
                [torch.nn.functional.pad(row, (0, 0, 0, length - len(row)), value=filler) for row in rows]
            )
        return batch


class DistillationTrainer(PinyinTrainer):
    """A `PinyinTrainer` whose loss is a mix of that of the labels and that of the soft labels.

    The soft part is the Kullback-Leibler divergence from the teachers at the temperature, times its square so that
    gradients keep their size (Hinton et al. 2015, section 2), as a mean over the characters with soft labels; a batch
    counts by its labelled tokens, like the other part.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.data_collator = SoftLabelCollator(self.processing_class)

    def compute_loss(self, model, inputs, *args, **kwargs):
        self._soft = inputs.pop("soft_ids", None), inputs.pop("soft_probabilities", None)
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _token_loss(self, outputs, labels, num_items_in_batch=None):
        hard = super()._token_loss(outputs, labels, num_items_in_batch)
        ids, probabilities = self._soft
        if ids is None:  # validation
            return hard
        labelled = (labels != -100).sum()
        share = labelled / (labelled if num_items_in_batch is None else num_items_in_batch)
        soft = soft_loss(outputs.logits, ids, probabilities, self.args.temperature)
        return (1 - self.args.soft_weight) * hard + self.args.soft_weight * share * soft


def soft_loss(
    logits: torch.Tensor, ids: torch.Tensor, probabilities: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return the mean divergence of a student from its soft labels, times `temperature` squared.

    Args:
        logits (`torch.FloatTensor` of shape `(batch_size, sequence_length, num_labels)`): of the student.
        ids (`torch.LongTensor` of shape `(batch_size, sequence_length, k)`): label ids, -100 for none.
        probabilities (`torch.FloatTensor` of the shape of `ids`): of the teacher at that temperature, 0 for none.

    Returns:
        `torch.FloatTensor` of shape `()`; zero if there are no soft labels.
    """
    known = (ids >= 0).any(-1)
    student = (logits[known].float() / temperature).log_softmax(-1).gather(-1, ids[known].clamp(min=0))
    teacher = probabilities[known]
    divergence = torch.xlogy(teacher, teacher) - teacher * student
    return temperature**2 * divergence.sum() / known.sum().clamp(min=1)
