"""Pretrain a Chinese BERT with masked language modelling on raw text.

accelerate launch --config_file accelerate_config.yaml recipes/pretrain.py recipes/configs/pretrain_small.yaml \
    --train_files TEXT_FOLDER --output_dir runs/pretrain
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from datasets import Dataset, IterableDataset
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    TrainingArguments,
    set_seed,
)

from h2p_hf.data.raw_text import load_raw_text
from h2p_hf.errors import InputError, run
from h2p_hf.files import atomic_write
from h2p_hf.hub import write_card
from h2p_hf.lexicon import phrase_table
from h2p_hf.modeling import character_tokenizer, load_masked_lm, load_tokenizer, token_loss
from h2p_hf.training import PublishingTrainer, hardware_use, last_complete_checkpoint, parse_args, run_facts


@dataclass
class PretrainArguments:
    train_files: list[str] = field(metadata={"help": "Text files, folders or Hub datasets: one passage a line."})
    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Checkpoint to go on from: a folder or a Hub id. Default: a fresh small BERT."}
    )
    model_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit on the Hub."})
    hidden_size: int = field(default=256, metadata={"help": "Width of a fresh BERT."})
    num_hidden_layers: int = field(default=4, metadata={"help": "Layers of a fresh BERT."})
    block_size: int = field(default=256, metadata={"help": "Length of a training row in tokens; passages are packed."})
    mlm_probability: float = field(default=0.15, metadata={"help": "Fraction of tokens to predict, 0-1."})
    whole_word_mask: bool = field(
        default=False, metadata={"help": "Hide the words of the phrase dictionary whole (Cui et al. 2021)."}
    )
    validation_blocks: int = field(
        default=200, metadata={"help": "Rows for perplexity, from the one passage in 200 that is held out."}
    )


def packed(lines: IterableDataset, tokenizer, block_size: int, whole_words: bool) -> IterableDataset:
    """Pack passages, each ended by [SEP], into rows of exactly `block_size` tokens.

    For whole words there is an `offset_mapping` too, in which the tokens of a word touch and others do not: that is how
    `DataCollatorForLanguageModeling` tells words.
    """

    def pack(batch):
        encoded = tokenizer(batch["text"], add_special_tokens=False, return_offsets_mapping=whole_words, verbose=False)
        columns = {"input_ids": [token for ids in encoded["input_ids"] for token in (*ids, tokenizer.sep_token_id)]}
        if whole_words:
            rows = zip(batch["text"], encoded["offset_mapping"], strict=True)
            columns["offset_mapping"] = [pair for row in rows for pair in (*word_offsets(*row), (0, 0))]
        body = block_size - 1
        first = {"input_ids": tokenizer.cls_token_id, "offset_mapping": (0, 0)}
        return {
            name: [[first[name], *values[i : i + body]] for i in range(0, len(values) - body + 1, body)]
            for name, values in columns.items()
        }

    return lines.map(pack, batched=True, batch_size=1000, remove_columns=["text"])


def word_offsets(text: str, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Move the offsets of tokens apart wherever a word of the phrase dictionary, or of a script with spaces, ends."""
    inside = {at for start, end, _ in phrase_table().match(text) for at in range(start + 1, end)}
    moved, gap = [], 0
    for start, end in offsets:
        spaced = start and text[start - 1 : start + 1].isascii() and text[start - 1 : start + 1].isalnum()
        gap += not (start in inside or spaced)
        moved.append((start + gap, end + gap))
    return moved


def held_out(text: str) -> bool:
    """Return whether a passage is for validation, whatever the order it comes in."""
    return crc32(text.encode()) % 200 == 0


class MaskedLMTrainer(PublishingTrainer):
    """A trainer that scores the vocabulary for masked positions only: they are 15% of a row, and the scores of a small
    BERT cost as much as two of its layers. The stock models score every position. The loss is the same.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, compute_loss_func=self.masked_loss, **kwargs)
        # The head is whatever of the model is not its encoder: `cls` of BERT, `lm_head` of RoBERTa.
        encoder = self.model.base_model_prefix
        head = next(module for name, module in self.model.named_children() if name != encoder)
        head.register_forward_pre_hook(lambda _, inputs: (inputs[0][self.masked],))

    def compute_loss(self, model, inputs, *args, **kwargs):
        self.masked = inputs["labels"] != -100
        return super().compute_loss(model, inputs, *args, **kwargs)

    def masked_loss(self, outputs, labels, num_items_in_batch=None):
        return token_loss(outputs.logits[None], labels[self.masked][None], num_items_in_batch)


def main() -> None:
    args, training_args = parse_args((PretrainArguments, TrainingArguments), description=__doc__)
    if training_args.n_gpu > 1:
        raise InputError(
            "start one process a GPU: accelerate launch --multi_gpu --num_processes N recipes/pretrain.py ..."
        )
    set_seed(training_args.seed)
    if args.model_name_or_path:
        tokenizer = load_tokenizer(args.model_name_or_path, args.model_revision)
        model = load_masked_lm(args.model_name_or_path, args.model_revision)
    else:
        tokenizer = character_tokenizer(model_max_length=args.block_size)
        model = BertForMaskedLM(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=args.hidden_size,
                num_hidden_layers=args.num_hidden_layers,
                num_attention_heads=max(1, args.hidden_size // 64),
                intermediate_size=4 * args.hidden_size,
                max_position_embeddings=args.block_size,
            )
        )
    lines = load_raw_text(args.train_files, seed=training_args.seed)
    train, validation = (
        packed(
            lines.filter(lambda row, part=part: held_out(row["text"]) == part),
            tokenizer,
            args.block_size,
            args.whole_word_mask,
        )
        for part in (False, True)
    )
    validation = list(validation.take(args.validation_blocks))
    if not validation:
        raise InputError(f"too little text to hold out {args.block_size} tokens for validation: give more")
    training_args.prediction_loss_only = True
    training_args.remove_unused_columns = False  # the collator needs the offsets of whole words
    trainer = MaskedLMTrainer(
        model=model,
        args=training_args,
        train_dataset=train,
        eval_dataset=Dataset.from_list(validation),
        data_collator=DataCollatorForLanguageModeling(
            tokenizer,
            mlm_probability=args.mlm_probability,
            whole_word_mask=args.whole_word_mask,
            # The collator knows no other replacement for whole words.
            **({"mask_replace_prob": 1.0, "random_replace_prob": 0.0} if args.whole_word_mask else {}),
        ),
        processing_class=tokenizer,
    )
    done = trainer.train(resume_from_checkpoint=last_complete_checkpoint(training_args.output_dir)).metrics
    trainer.save_model()
    trainer.save_state()
    done["train_tokens_per_second"] = done["train_samples_per_second"] * args.block_size
    done["train_hardware_use"] = hardware_use(model, done["train_tokens_per_second"], training_args)
    trainer.log_metrics("train", done)
    trainer.save_metrics("train", done)
    metrics = trainer.evaluate()
    metrics["eval_perplexity"] = math.exp(metrics["eval_loss"])
    trainer.log_metrics("eval", metrics)
    trainer.save_metrics("eval", metrics)
    if trainer.is_world_process_zero():
        facts = run_facts(trainer, done, args.model_name_or_path, args.train_files)
        with atomic_write(Path(training_args.output_dir) / "metrics.json") as file:
            json.dump({**facts, "perplexity": metrics["eval_perplexity"]}, file, indent=2, ensure_ascii=False)
        write_card(training_args.output_dir)
        if training_args.push_to_hub:
            trainer.push_to_hub()


if __name__ == "__main__":
    run(main)
