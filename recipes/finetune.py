"""Fine-tune a hanzi-to-pinyin model and evaluate it on polyphonic characters.

accelerate launch --config_file accelerate_config.yaml recipes/finetune.py recipes/configs/quickstart.yaml
"""

import json
from pathlib import Path

from transformers import set_seed

from h2p_hf.errors import run
from h2p_hf.evaluation import evaluate_system, load_system, pipeline_system, report_folder, table, write_report
from h2p_hf.files import atomic_write
from h2p_hf.modeling import load_model
from h2p_hf.pinyin import to_style
from h2p_hf.training import (
    DataArguments,
    ModelArguments,
    PinyinTrainingArguments,
    build_trainer,
    check_same_run,
    last_complete_checkpoint,
    load_base,
    load_splits,
    make_pipeline,
    parse_args,
    save_final,
    tune_phrase_bonus,
)

EXAMPLES = ("银行行长重新长大了。", "他试着重复那句话，可大家都受不了了。", "还有三天，这笔钱必须还给人家。")


def main() -> None:
    model_args, data_args, training_args = parse_args(
        (ModelArguments, DataArguments, PinyinTrainingArguments), description=__doc__
    )
    set_seed(training_args.seed)

    # 1. Data and model
    splits = load_splits(data_args, training_args.data_seed or training_args.seed)
    model, tokenizer = load_base(model_args)
    systems = {name: load_system(name, majority_data=splits.train) for name in data_args.baselines}
    trainer = build_trainer(model, tokenizer, splits, training_args, data_args.max_length)
    main_process = trainer.is_world_process_zero()
    if main_process:
        check_same_run(training_args.output_dir, model_args, data_args, training_args)

    # 2. Before (not by trainer.evaluate(): under several processes that would keep the model out of DDP)
    results = {}
    if main_process:
        systems["before"] = pipeline_system(make_pipeline(model, tokenizer))
        for name, test in splits.tests.items():
            for system, read in systems.items():
                results[name, system] = evaluate_system(read, test)[0]

    # 3. Train
    checkpoint = training_args.resume_from_checkpoint or last_complete_checkpoint(training_args.output_dir)
    if checkpoint and main_process:
        print(f"going on from {checkpoint}; to start afresh, delete it or give another --output_dir")
    train_result = trainer.train(resume_from_checkpoint=checkpoint)
    trainer.log_metrics("train", train_result.metrics)
    trainer.save_metrics("train", train_result.metrics)
    trainer.save_state()

    # 4. After: save, read back what was saved, choose the phrase bonus on validation, report
    save_final(trainer)
    if main_process:
        output = Path(training_args.output_dir)
        pipe = make_pipeline(load_model(str(output)).to(training_args.device), tokenizer)
        bonus = tune_phrase_bonus(pipe, splits.validation)
        pipe.model.config.save_pretrained(output)
        for name, test in splits.tests.items():
            argmax, _ = evaluate_system(pipeline_system(pipe, use_lexicon=False), test)
            scores, predictions = evaluate_system(pipeline_system(pipe), test)
            results |= {(name, "after, argmax"): argmax, (name, "after"): scores}
            folder = report_folder(output, "evaluation", name)
            write_report(folder, test, predictions, scores, f"{name}, {training_args.output_dir}")
        report: dict = {"world_size": training_args.world_size, "phrase_bonus": bonus}
        for (name, system), scores in results.items():
            report.setdefault(name, {})[system] = scores
        with atomic_write(output / "metrics.json") as file:
            json.dump(report, file, indent=2, ensure_ascii=False)
        print(table(results))
        for text in EXAMPLES:
            print(text, " ".join(to_style(item["pinyin"]) for item in pipe(text)))
    trainer.accelerator.end_training()


if __name__ == "__main__":
    run(main)
