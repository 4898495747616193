"""Distil teachers into a student: it learns their probabilities beside the labels of the data.

Teachers are checkpoints, read with lexicon and phrases, or g2pM. The student is the base, as in finetune.py.

accelerate launch --config_file accelerate_config.yaml recipes/distill.py recipes/configs/distill_small.yaml \
    --teachers runs/small runs/small2 --train_datasets silver.jsonl --output_dir runs/distilled
"""

from transformers import set_seed

from h2p_hf.distillation import DistillationArguments, DistillationTrainer, add_soft_labels, load_teacher
from h2p_hf.errors import run
from h2p_hf.training import DataArguments, ModelArguments, build_trainer, fine_tune, load_base, load_splits, parse_args


def main() -> None:
    model_args, data_args, training_args = parse_args(
        (ModelArguments, DataArguments, DistillationArguments), description=__doc__
    )
    set_seed(training_args.seed)
    splits = load_splits(data_args, training_args.data_seed or training_args.seed)
    model, tokenizer = load_base(model_args)
    device = None if training_args.device.type == "cpu" else training_args.device
    teachers = [load_teacher(name, device=device) for name in training_args.teachers]
    splits.train = add_soft_labels(splits.train, teachers, training_args.temperature, training_args.teacher_weights)
    trainer = build_trainer(model, tokenizer, splits, training_args, data_args.max_length, DistillationTrainer)
    fine_tune(trainer, splits, data_args, model_args)
    trainer.accelerator.end_training()


if __name__ == "__main__":
    run(main)
