"""Pretrain a Chinese BERT with masked language modelling on raw text.

accelerate launch --config_file accelerate_config.yaml recipes/pretrain.py recipes/configs/pretrain_small.yaml \
    --train_files TEXT_FOLDER --output_dir runs/pretrain
"""

import math
from dataclasses import dataclass, field
from zlib import crc32

from datasets import Dataset, IterableDataset
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
    set_seed,
)

from h2p_hf.data.raw_text import load_raw_text
from h2p_hf.errors import InputError, run
from h2p_hf.modeling import character_tokenizer, load_masked_lm, load_tokenizer, token_loss
from h2p_hf.training import last_complete_checkpoint, parse_args


@dataclass
class PretrainArguments:
    train_files: list[str] = field(metadata={"help": "Text files or folders: one passage a line."})
    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Checkpoint to go on from: a folder or a Hub id. Default: a fresh small BERT."}
    )
    hidden_size: int = field(default=256, metadata={"help": "Width of a fresh BERT."})
    num_hidden_layers: int = field(default=4, metadata={"help": "Layers of a fresh BERT."})
    block_size: int = field(default=256, metadata={"help": "Length of a training row in tokens; passages are packed."})
    mlm_probability: float = field(default=0.15, metadata={"help": "Fraction of tokens to predict, 0-1."})
    validation_blocks: int = field(
        default=200, metadata={"help": "Rows for perplexity, from the one passage in 200 that is held out."}
    )


def packed(lines: IterableDataset, tokenizer, block_size: int) -> IterableDataset:
    """Pack passages, each ended by [SEP], into rows of exactly `block_size` tokens."""

    def pack(batch):
        ids = [token for row in tokenizer(batch["text"], add_special_tokens=False)["input_ids"]
               for token in (*row, tokenizer.sep_token_id)]  # fmt: skip
        body = block_size - 1
        return {"input_ids": [[tokenizer.cls_token_id, *ids[i : i + body]]
                              for i in range(0, len(ids) - body + 1, body)]}  # fmt: skip

    return lines.map(pack, batched=True, batch_size=1000, remove_columns=["text"])


def held_out(text: str) -> bool:
    """Return whether a passage is for validation, whatever the order it comes in."""
    return crc32(text.encode()) % 200 == 0


class MaskedLMTrainer(Trainer):
    """A Trainer that scores the vocabulary for masked positions only: they are 15% of a row, and the scores of a small
    BERT cost as much as two of its layers. The stock models score every position.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, compute_loss_func=self.masked_loss, **kwargs)
        # The head is whatever of the model is not its encoder: `cls` of BERT, `lm_head` of RoBERTa.
        encoder = self.model.base_model_prefix
        head = next(module for name, module in self.model.named_children() if name != encoder)
        head.register_forward_pre_hook(lambda _, inputs: (inputs[0][self.masked],))

    def compute_loss(self, model, inputs, **kwargs):
        self.masked = inputs["labels"] != -100
        return super().compute_loss(model, inputs, **kwargs)

    def masked_loss(self, outputs, labels, num_items_in_batch=None):
        return token_loss(outputs.logits[None], labels[self.masked][None], num_items_in_batch)


def main() -> None:
    args, training_args = parse_args((PretrainArguments, TrainingArguments), description=__doc__)
    set_seed(training_args.seed)
    if args.model_name_or_path:
        tokenizer = load_tokenizer(args.model_name_or_path)
        model = load_masked_lm(args.model_name_or_path)
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
        packed(lines.filter(lambda row, part=part: held_out(row["text"]) == part), tokenizer, args.block_size)
        for part in (False, True)
    )
    validation = list(validation.take(args.validation_blocks))
    if not validation:
        raise InputError(f"too little text to hold out {args.block_size} tokens for validation: give more")
    training_args.prediction_loss_only = True
    trainer = MaskedLMTrainer(
        model=model,
        args=training_args,
        train_dataset=train,
        eval_dataset=Dataset.from_list(validation),
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=args.mlm_probability),
        processing_class=tokenizer,
    )
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(training_args.output_dir))
    trainer.save_model()
    trainer.save_state()
    metrics = trainer.evaluate()
    metrics["eval_perplexity"] = math.exp(metrics["eval_loss"])
    trainer.log_metrics("eval", metrics)
    trainer.save_metrics("eval", metrics)


if __name__ == "__main__":
    run(main)
