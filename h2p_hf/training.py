"""The argument dataclasses and the Trainer wiring that the recipes share."""

import json
import logging
import math
import random
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from datasets import Dataset, concatenate_datasets
from safetensors.torch import load_file, save_file
from torch.utils.benchmark import Timer
from transformers import (
    DataCollatorForTokenClassification,
    EarlyStoppingCallback,
    HfArgumentParser,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)
from transformers.utils import SAFE_WEIGHTS_NAME

from . import hub
from .data import label_monophones, load, load_all
from .errors import InputError
from .evaluation import (
    evaluate_system,
    load_system,
    pipeline_system,
    report_folder,
    table,
    write_report,
    write_summary,
)
from .files import atomic_write, bundled_base
from .metrics import build_compute_metrics, polyphone_positions
from .modeling import (
    MODEL_TYPES,
    candidate_mask,
    character_tokenizer,
    encode,
    fresh_model,
    load_config,
    load_model,
    load_tokenizer,
    max_length,
    token_loss,
)
from .onnx import ONNX_FILES
from .pipelines import HanziToPinyinPipeline
from .reader import TASK, best_reading

logger = logging.getLogger(__name__)

PHRASE_BONUSES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)


@dataclass
class ModelArguments:
    """What to start from."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "Base checkpoint: a folder or a Hub id such as google-bert/bert-base-chinese, "
            "hfl/chinese-macbert-base or hfl/rbt3. Default: the small one that comes with the package."
        },
    )
    model_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit on the Hub."})
    model_type: str | None = field(
        default=None,
        metadata={
            "help": f"Start from fresh weights of this type, instead of a base: {', '.join(MODEL_TYPES)}. The tokenizer "
            "is that of the package: one token a character."
        },
    )
    config_overrides: str | None = field(
        default=None,
        metadata={
            "help": "Start from fresh weights, with the config of the base, or of the model type, changed like "
            "num_hidden_layers=2,hidden_size=128."
        },
    )


@dataclass
class DataArguments:
    """Datasets by name: bundled, cpp, hsk, a .jsonl/.parquet/.tsv file, a CPP folder or a Hub id, with @split."""

    train_datasets: list[str] = field(default_factory=lambda: ["bundled"], metadata={"help": "Rows to learn from."})
    validation_datasets: list[str] = field(
        default_factory=lambda: ["bundled@validation"],
        metadata={"help": "Rows that choose the best checkpoint and the phrase bonus."},
    )
    test_datasets: list[str] = field(
        default_factory=lambda: ["bundled@test"], metadata={"help": "Reported one by one, before and after training."}
    )
    test_fraction: float = field(
        default=0.0,
        metadata={
            "help": "Hold out this fraction (0-1) of the training sentences as one more test, and as much again as "
            "more validation data."
        },
    )
    replay: float = field(
        default=0.0,
        metadata={
            "help": "Domain adaptation: rows of general data to mix in for each row of train_datasets, so that the "
            "model does not forget it."
        },
    )
    replay_datasets: list[str] = field(
        default_factory=lambda: ["bundled"], metadata={"help": "The general data, if replay is above 0."}
    )
    max_length: int | None = field(
        default=None, metadata={"help": "Longest training row in tokens. Default: what the tokenizer states."}
    )
    label_monophones: bool = field(
        default=True, metadata={"help": "Label unlabelled characters that are no polyphones, from the lexicon."}
    )
    drop_duplicates: bool = field(
        default=False,
        metadata={"help": "Leave out training rows that are also validation or test rows instead of stopping."},
    )
    baselines: list[str] = field(
        default_factory=list, metadata={"help": "Report these beside: pypinyin, large_pinyin, g2pM, majority."}
    )


@dataclass
class PinyinTrainingArguments(TrainingArguments):
    """`TrainingArguments` with defaults for fine-tuning a pretrained encoder, and five options of our own."""

    learning_rate: float = field(default=3e-5, metadata={"help": "Peak; 1e-5 to 5e-5 for pretrained checkpoints."})
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay of AdamW."})
    warmup_steps: float = field(default=0.1, metadata={"help": "Warm-up: steps, or a fraction of all if below 1."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When to validate: no, steps or epoch."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to write a checkpoint: no, steps or epoch."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "Keep the best checkpoint, not the last."})
    metric_for_best_model: str | None = field(default="eval_f1_macro", metadata={"help": "What is best."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints to keep."})
    report_to: str = field(default="tensorboard", metadata={"help": "Where to log: tensorboard, none ..."})
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "A resumed run remembers the patience of early stopping."}
    )
    layer_decay: float = field(
        default=1.0, metadata={"help": "Learning rate of each layer relative to the next one above; 1 turns it off."}
    )
    early_stopping_patience: int = field(
        default=3, metadata={"help": "Stop after so many validations without a better metric; 0 never stops."}
    )
    candidate_loss: bool = field(
        default=False, metadata={"help": "Compare only the readings that the lexicon gives a character."}
    )
    mask_probability: float = field(
        default=0.0,
        metadata={
            "help": "Hide this fraction (0-1) of the input tokens behind [MASK] while training, labels kept: then a "
            "character is read from its context, as in masked language modelling."
        },
    )

    half_precision_weights: bool = field(
        default=False,
        metadata={"help": "Write the final weights in float16: half the size, and still read as float32."},
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.layer_decay <= 1:
            raise InputError(f"layer_decay must be above 0 and at most 1, got {self.layer_decay}")
        if not 0 <= self.mask_probability < 1:
            raise InputError(f"mask_probability must be at least 0 and below 1, got {self.mask_probability}")


def parse_args(dataclass_types: Sequence[type], argv: Sequence[str] | None = None, description: str | None = None):
    """Parse dataclasses from an optional YAML file (first argument) and flags that override it.

    The YAML file is turned into flags in front of the others: `HfArgumentParser.parse_yaml_file` would convert and
    check nothing (``learning_rate: 5e-5`` stays text). ``bf16`` becomes false, with a warning, on a CPU that lacks it.

    Args:
        dataclass_types (sequence of dataclasses): what `HfArgumentParser` takes.
        argv (sequence of `str`, *optional*): defaults to the command line.
        description (`str`, *optional*): shown by ``--help``.

    Returns:
        One instance a dataclass.

    Raises:
        InputError: if the file is missing, no mapping, or holds an unknown key, or a value is impossible. Malformed
            flags exit with code 2 (argparse).
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = HfArgumentParser(dataclass_types, description=description)
    if argv and argv[0].endswith((".yaml", ".yml")):
        argv = _yaml_flags(Path(argv[0]), parser) + argv[1:]
    if not torch.accelerator.is_available():
        argv = ["--use_cpu", "true", *argv]  # else TrainingArguments refuses bf16 on a machine without a GPU
    try:
        parsed = parser.parse_args_into_dataclasses(argv, look_for_args_file=False)
        if any(getattr(part, "bf16", False) and part.use_cpu for part in parsed) and not _cpu_has_bf16():
            logger.warning("this CPU has no bfloat16, a step would take 30 times as long: training in float32")
            parsed = parser.parse_args_into_dataclasses([*argv, "--bf16", "false"], look_for_args_file=False)
    except ValueError as error:  # TrainingArguments checks its values with ValueError
        raise InputError(" ".join(str(error).split())) from None
    return parsed


def _cpu_has_bf16() -> bool:
    return not torch.backends.mkldnn.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _yaml_flags(path: Path, parser: HfArgumentParser) -> list[str]:
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: write one 'key: value' a line")
    known = {action.dest for action in parser._actions}
    flags = []
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{path}: unknown key {key!r}; see --help for the options")
        if value is None or value == []:
            continue
        values_ = value if isinstance(value, list) else [value]
        flags += [f"--{key}", *(json.dumps(v) if isinstance(v, dict) else str(v) for v in values_)]
    return flags


def load_base(args: ModelArguments) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the model and the tokenizer to start from.

    Raises:
        InputError: if the checkpoint cannot be loaded, there is no such model type, or an override does not fit the config.
    """
    name = args.model_name_or_path or bundled_base()
    config = None
    if args.model_type:
        if args.model_name_or_path:
            raise InputError(
                f"model_type {args.model_type} starts from fresh weights, model_name_or_path {name} from a checkpoint: "
                "give one of them"
            )
        if args.model_type not in MODEL_TYPES:
            raise InputError(f"no model_type {args.model_type!r}: choose from {', '.join(MODEL_TYPES)}")
        tokenizer = character_tokenizer()
        config = MODEL_TYPES[args.model_type](vocab_size=len(tokenizer))
    else:
        tokenizer = load_tokenizer(name, args.model_revision)
    if args.config_overrides:
        config = config or load_config(name, args.model_revision)
        try:
            config.update_from_string(args.config_overrides)
        except (ValueError, TypeError) as error:
            raise InputError(f"config_overrides: {error}") from None
    model = fresh_model(config) if config else load_model(name, args.model_revision)
    tokenizer.model_max_length = max_length(model, tokenizer)  # saved with the result
    return model, tokenizer


@dataclass
class Splits:
    """The datasets of a run; `tests` by name."""

    train: Dataset
    validation: Dataset
    tests: dict[str, Dataset]


def load_splits(args: DataArguments, seed: int) -> Splits:
    """Load all datasets of a run. No validation or test sentence is in the training data.

    Raises:
        InputError: if a dataset cannot be loaded, or training rows are held out ones (see `records.build`).
    """
    tests = {name: load(name) for name in args.test_datasets}
    held_out = {text for test in tests.values() for text in test["text"]}
    checks = {"drop_duplicates": args.drop_duplicates}
    validation = load_all(args.validation_datasets, held_out=held_out, **checks)
    held_out |= set(validation["text"])
    train = load_all(args.train_datasets, held_out=held_out, **checks)
    if args.test_fraction:
        train, held = _hold_out(train, args.test_fraction, seed)
        tests["train_datasets (held out)"] = held[0]
        validation = concatenate_datasets([validation, held[1]])
        held_out |= {text for part in held for text in part["text"]}
    if args.replay:
        general = load_all(args.replay_datasets, held_out=held_out, **checks).shuffle(seed=seed)
        rows = min(len(general), round(args.replay * len(train)))
        train = concatenate_datasets([train, general.select(range(rows))])
    if args.label_monophones:
        train = label_monophones(train)
    return Splits(train, validation, tests)


def _hold_out(train: Dataset, fraction: float, seed: int) -> tuple[Dataset, tuple[Dataset, Dataset]]:
    """Split off two parts of a fraction of the distinct sentences each."""
    sentences = sorted(set(train["text"]))
    count = round(fraction * len(sentences))
    if not (count and 2 * count < len(sentences)):
        raise InputError(f"test_fraction {fraction} leaves no test or no training rows of {len(sentences)} sentences")
    random.Random(seed).shuffle(sentences)
    test, validation = set(sentences[:count]), set(sentences[count : 2 * count])

    def part(keep) -> Dataset:
        return train.filter(keep, input_columns="text")

    rest = part(lambda text: text not in test and text not in validation)
    return rest, (part(test.__contains__), part(validation.__contains__))


class PublishingTrainer(Trainer):
    """`Trainer` whose ``--push_to_hub`` publishes the result once, at the end, as `hub.push` does. `Trainer` itself uploads
    each checkpoint as it stands, and without what our pipeline needs.
    """

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Make the repository: before hours of training, a wrong token or name is found out."""
        self.push_in_progress = None
        if self.is_world_process_zero():
            name = self.args.hub_model_id or Path(self.args.output_dir).resolve().name
            self.hub_model_id = hub.claim(name, self.args.hub_private_repo, self.args.hub_token)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        super().save_model(output_dir, _internal_call=True)  # nothing is uploaded yet

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        pass

    def push_to_hub(self, commit_message: str = "End of training") -> str:
        """Publish the output folder and return the address of the commit; to be called by the main process."""
        args = self.args
        url = hub.push(
            args.output_dir, self.hub_model_id, args.hub_revision, message=commit_message, token=args.hub_token
        )
        print(f"published: {url}")
        return url


class PinyinTrainer(PublishingTrainer):
    """`Trainer` with a loss that does not depend on accumulation or processes, and layer-wise learning-rate decay.

    Args:
        allowed (`torch.BoolTensor` of shape `(vocab_size, num_labels)`, *optional*): restrict the loss to these labels
            (see `modeling.candidate_mask`).
    """

    def __init__(self, *args, allowed: torch.Tensor | None = None, **kwargs):
        super().__init__(*args, compute_loss_func=self._token_loss, **kwargs)
        self._allowed = None if allowed is None else allowed.to(self.args.device)

    def compute_loss(self, model, inputs, *args, **kwargs):
        self._input_ids = inputs["input_ids"]  # compute_loss_func is not given the inputs
        if model.training and self.args.mask_probability:
            inputs["input_ids"] = self._hide(inputs["input_ids"], inputs["labels"])
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _hide(self, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Replace some labelled tokens, never special ones or padding, by [MASK]."""
        hidden = torch.rand(input_ids.shape, device=input_ids.device) < self.args.mask_probability
        return input_ids.masked_fill(hidden & (labels != -100), self.processing_class.mask_token_id)

    def _token_loss(self, outputs, labels, num_items_in_batch=None):
        allowed = None if self._allowed is None else self._allowed[self._input_ids]
        return token_loss(outputs.logits, labels, num_items_in_batch, allowed)

    def create_optimizer(self, model=None):
        model = self.model if model is None else model
        if self.optimizer is None and self.args.layer_decay < 1:
            optimizer, parameters = self.get_optimizer_cls_and_kwargs(self.args, model)
            self.optimizer = optimizer(
                layer_decay_groups(
                    model,
                    self.args.learning_rate,
                    self.args.layer_decay,
                    self.args.weight_decay,
                    self.get_decay_parameter_names(model),
                ),
                **parameters,
            )
        return super().create_optimizer(model)


def layer_decay_groups(
    model: torch.nn.Module, learning_rate: float, layer_decay: float, weight_decay: float, decayed: Sequence[str]
) -> list[dict]:
    """Return parameter groups whose learning rate falls from the head (the full rate) to the embeddings.

    The layer `k` below the head has `learning_rate * layer_decay ** k` (Howard & Ruder 2018, ULMFiT, section 3.2;
    per layer as in Clark et al. 2020, ELECTRA).

    Args:
        decayed (sequence of `str`): names of the parameters with weight decay.
    """
    numbers = {name: re.search(r"\.layers?\.(\d+)\.", name) for name, _ in model.named_parameters()}
    depth = 1 + max((int(found[1]) for found in numbers.values() if found), default=-1)
    groups: dict[tuple[int, bool], dict] = {}
    for name, parameter in model.named_parameters():
        found = numbers[name]
        below = depth - int(found[1]) if found else depth + 1 if "embeddings" in name else 0
        key = below, name in decayed
        group = groups.setdefault(
            key,
            {"params": [], "lr": learning_rate * layer_decay**below, "weight_decay": weight_decay if key[1] else 0.0},
        )
        group["params"].append(parameter)
    return list(groups.values())


def build_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    splits: Splits,
    args: PinyinTrainingArguments,
    longest: int | None = None,
    trainer_class: type[PinyinTrainer] = PinyinTrainer,
) -> PinyinTrainer:
    """Tokenise the datasets and wire model, loss, metric and early stopping together.

    Args:
        longest (`int`, *optional*): longest training row in tokens; defaults to what the tokenizer states.

    Raises:
        InputError: if an option does not fit the tokenizer, or nothing is labelled.
    """
    label2id = model.config.label2id
    limit = min(longest or tokenizer.model_max_length, tokenizer.model_max_length)
    if limit < 8:
        raise InputError(f"max_length must be at least 8 tokens, got {limit}")
    if args.mask_probability and tokenizer.mask_token_id is None:
        raise InputError("mask_probability needs a tokenizer with a mask token: set it to 0")
    encoding = {"tokenizer": tokenizer, "label2id": label2id, "max_length": limit}
    train, validation = (
        dataset.map(encode, batched=True, fn_kwargs=encoding, remove_columns=dataset.column_names, desc="Tokenising")
        for dataset in (splits.train, splits.validation)
    )
    if not any(label != -100 for row in train["labels"] for label in row):
        raise InputError("the training data has no labelled character")
    args.include_for_metrics = ["inputs"]
    stopping = args.early_stopping_patience and args.load_best_model_at_end and args.eval_strategy != "no"
    return trainer_class(
        model=model,
        args=args,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=build_compute_metrics(tokenizer, model.config.id2label),
        preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1),
        callbacks=[EarlyStoppingCallback(args.early_stopping_patience)] if stopping else None,
        allowed=candidate_mask(tokenizer, label2id) if args.candidate_loss else None,
    )


def fine_tune(
    trainer: PinyinTrainer, splits: Splits, data_args: DataArguments, model_args: ModelArguments
) -> HanziToPinyinPipeline | None:
    """Evaluate, train (or go on from the last checkpoint), save, and evaluate what was saved.

    Writes checkpoint, metrics.json and the folder `evaluation` into the output folder and prints a table. To be called by
    every process.

    Returns:
        `HanziToPinyinPipeline`: of the saved checkpoint, with the phrase bonus chosen on validation; None in other processes
        than the main one.

    Raises:
        InputError: if the output folder belongs to a run with other options, or a baseline is not installed.
    """
    args, tokenizer = trainer.args, trainer.processing_class
    output = Path(args.output_dir)
    main_process = trainer.is_world_process_zero()
    results: dict[tuple[str, str], dict[str, float]] = {}
    if main_process:
        check_same_run(output, model_args, data_args, args)
        systems = {name: load_system(name, majority_data=splits.train) for name in data_args.baselines}
        # Not by trainer.evaluate(): under several processes that would keep the model out of DDP.
        systems["before"] = pipeline_system(make_pipeline(trainer.model, tokenizer))
        for name, test in splits.tests.items():
            for system, read in systems.items():
                results[name, system] = evaluate_system(read, test)[0]

    checkpoint = args.resume_from_checkpoint or last_complete_checkpoint(output)
    if checkpoint and main_process:
        print(f"going on from {checkpoint}; to start afresh, delete it or give another --output_dir")
    trained = trainer.train(resume_from_checkpoint=checkpoint)
    trainer.log_metrics("train", trained.metrics)
    trainer.save_metrics("train", trained.metrics)
    trainer.save_state()
    save_final(trainer)
    if not main_process:
        return None

    pipe = make_pipeline(load_model(str(output)).to(args.device), tokenizer)
    bonus = tune_phrase_bonus(pipe, splits.validation)
    pipe.model.config.save_pretrained(output)
    errors: list[dict] = []
    for name, test in splits.tests.items():
        argmax, _ = evaluate_system(pipeline_system(pipe, use_lexicon=False), test)
        scores, predictions = evaluate_system(pipeline_system(pipe), test)
        results |= {(name, "after, argmax"): argmax, (name, "after"): scores}
        folder = report_folder(output, "evaluation", name)
        found = write_report(folder, test, predictions, scores, f"{name}, {output}")
        errors = errors or found
    facts = run_facts(trainer, trained.metrics, model_args.model_name_or_path, data_args.train_datasets)
    write_summary(output / "metrics.json", results, "after", errors, phrase_bonus=bonus, **facts)
    hub.write_card(output)
    print(table(results))
    if args.push_to_hub:
        trainer.push_to_hub()
    return pipe


def run_facts(
    trainer: Trainer, metrics: Mapping[str, float], model_name_or_path: str | None, datasets: Sequence[str]
) -> dict:
    """Return what a model card says of a training run."""
    args = trainer.args
    base = model_name_or_path
    words = [f"recipes/{Path(sys.argv[0]).name}", *sys.argv[1:]]
    secret = {i + 1 for i, word in enumerate(words) if word == "--hub_token"}
    return {
        "base_model": None
        if base and Path(base).is_dir()
        else base,  # a folder of this machine means nothing elsewhere
        "datasets": list(datasets),
        "command": shlex.join(word for i, word in enumerate(words) if i not in secret and word != "--hub_token"),
        "world_size": args.world_size,
        "device": args.device.type,
        "train_runtime": metrics["train_runtime"],
        "num_parameters": trainer.model.num_parameters(),
        "versions": {package: version(package) for package in ("h2p-hf", "transformers", "torch")},
    }


def last_complete_checkpoint(output_dir: str | Path) -> str | None:
    """Return the newest checkpoint that was written to its end, or None.

    `Trainer` writes trainer_state.json last, so a checkpoint without it was cut off by a kill.
    """
    found = []
    for folder in Path(output_dir).glob("checkpoint-*"):
        try:
            json.loads((folder / "trainer_state.json").read_text("utf-8"))
            found.append((int(folder.name.partition("-")[2]), str(folder)))
        except (OSError, ValueError):
            continue
    return max(found)[1] if found else None


def save_final(trainer: PinyinTrainer) -> None:
    """Write the final model and tokenizer into the output folder; to be called by every process.

    The config keeps the dtype of training, so that half-precision weights are converted when they are loaded: on a CPU
    float16 is for the disk only.
    """
    trainer.save_model()
    for name in ONNX_FILES.values():  # of weights that were here before
        (Path(trainer.args.output_dir) / name).unlink(missing_ok=True)
    if trainer.args.half_precision_weights and trainer.is_world_process_zero():
        weights = Path(trainer.args.output_dir) / SAFE_WEIGHTS_NAME
        halved = {name: value.half() for name, value in load_file(weights).items()}
        save_file(halved, weights.with_suffix(".part"), metadata={"format": "pt"})
        weights.with_suffix(".part").replace(weights)


def check_same_run(output_dir: str | Path, *arguments: Any) -> None:
    """Note the options of a run in its output folder, or compare them with those noted there.

    Raises:
        InputError: if the folder belongs to a run with other options, which must not be resumed as this one.
    """
    path = Path(output_dir) / "arguments.json"
    now = json.loads(
        json.dumps({k: v for a in arguments for k, v in _plain(a).items() if k not in _FREE}, default=str)
    )
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            json.dump(now, file, indent=2, ensure_ascii=False)
        return
    then = json.loads(path.read_text("utf-8"))
    for key in sorted(now.keys() | then.keys()):
        if now.get(key) != then.get(key):
            raise InputError(
                f"{output_dir} belongs to a run with {key}={then.get(key)!r}, now {now.get(key)!r}: give another "
                "--output_dir, or delete it"
            )


_FREE = {
    "local_rank", "resume_from_checkpoint", "disable_tqdm", "half_precision_weights",
    "push_to_hub", "hub_model_id", "hub_token", "hub_private_repo", "hub_revision", "hub_strategy", "hub_always_push",
}  # fmt: skip
"""Options that may differ when a run is resumed."""


def _plain(arguments: Any) -> dict:
    return arguments.to_dict() if hasattr(arguments, "to_dict") else asdict(arguments)


def make_pipeline(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, **kwargs) -> HanziToPinyinPipeline:
    """Wrap a model in training into the pipeline that users will run, on the device where it is."""
    return HanziToPinyinPipeline(model=model, tokenizer=tokenizer, task=TASK, device=model.device, **kwargs)


def tune_phrase_bonus(pipe: HanziToPinyinPipeline, validation: Dataset) -> float:
    """Choose the phrase bonus on validation data, and write it into the model config.

    It is the smallest that is worse than the best on polyphones by no more than one standard error of the difference
    (Breiman et al. 1984, section 3.4.3, on the same characters): on text of another kind phrases help less.
    """
    scored = list(pipe.scores(validation["text"]))
    rows = list(zip(validation["text"], validation["pinyin"], strict=True))
    right = {
        bonus: np.array(
            [
                best_reading(found[at]) == pinyin[at]
                for (text, pinyin), (_, scores) in zip(rows, scored, strict=True)
                for found in [pipe.postprocess(text, scores, phrase_bonus=bonus)]
                for at in polyphone_positions(text, pinyin)
            ],
            dtype=float,
        )
        for bonus in PHRASE_BONUSES
    }
    accuracy = {bonus: float(found.mean()) if len(found) else 0.0 for bonus, found in right.items()}
    highest = right[max(accuracy, key=accuracy.get)]

    def close(found: np.ndarray) -> bool:
        worse = highest - found
        return not len(worse) or worse.mean() <= worse.std() / math.sqrt(len(worse))

    best = next(bonus for bonus, found in right.items() if close(found))
    pipe.model.config.phrase_bonus = best
    logger.info("phrase bonus %s: %s", best, {bonus: round(value, 4) for bonus, value in accuracy.items()})
    return best


def hardware_use(model: torch.nn.Module, tokens_per_second: float, args: TrainingArguments) -> float:
    """Return which fraction of the device's arithmetic a training run used.

    A token costs 6 operations a parameter outside the embeddings, forward and backward (Kaplan et al. 2020, section
    2.1); attention scores and the output layer come on top and are not counted, so this is a lower bound. What the
    device can do is measured: a large matrix product in the precision of the run, on as many threads.

    Args:
        tokens_per_second (`float`): of all processes together.
    """
    dtype = torch.bfloat16 if args.bf16 else torch.float16 if args.fp16 else torch.float32
    size = 8192 if args.device.type == "cuda" else 2048
    a = torch.randn(size, size, device=args.device, dtype=dtype)
    timer = Timer("a @ a", globals={"a": a}, num_threads=torch.get_num_threads())
    peak = 2 * size**3 / timer.blocked_autorange(min_run_time=1).median
    return 6 * model.num_parameters(exclude_embeddings=True) * tokens_per_second / (peak * args.world_size)
