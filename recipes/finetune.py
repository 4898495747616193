"""Fine-tune a hanzi-to-pinyin model and evaluate it on polyphonic characters.

accelerate launch --config_file accelerate_config.yaml recipes/finetune.py recipes/configs/quickstart.yaml
"""

from transformers import set_seed

from h2p_hf.errors import run
from h2p_hf.pinyin import to_style
from h2p_hf.training import (
    DataArguments,
    ModelArguments,
    PinyinTrainingArguments,
    build_trainer,
    fine_tune,
    load_base,
    load_splits,
    parse_args,
)

EXAMPLES = ("银行行长重新长大了。", "他试着重复那句话，可大家都受不了了。", "还有三天，这笔钱必须还给人家。")


def main() -> None:
    model_args, data_args, training_args = parse_args(
        (ModelArguments, DataArguments, PinyinTrainingArguments), description=__doc__
    )
    set_seed(training_args.seed)
    splits = load_splits(data_args, training_args.data_seed or training_args.seed)
    model, tokenizer = load_base(model_args)
    trainer = build_trainer(model, tokenizer, splits, training_args, data_args.max_length)
    # Evaluate, train, save, read back what was saved, choose the phrase bonus on validation, evaluate again
    pipe = fine_tune(trainer, splits, data_args, model_args)
    if pipe:  # the main process
        for text in EXAMPLES:
            print(text, " ".join(to_style(item["pinyin"]) for item in pipe(text)))
    trainer.accelerator.end_training()


if __name__ == "__main__":
    run(main)
