"""Primer 3: a BERT that reads hanzi aloud: pretrained without labels, fine-tuned with labels, adapted to harder sentences.

python recipes/primer/pinyin_bert.py
To try: --pretraining_epochs 0, --replay 0, --learning_rate 3e-4, --optim sgd
"""

from dataclasses import dataclass, field, replace

from datasets import Dataset, concatenate_datasets
from shared import report, start
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForMaskedLM, DataCollatorForLanguageModeling, Trainer

from h2p_hf import training
from h2p_hf.errors import run
from h2p_hf.evaluation import evaluate_system, pipeline_system
from h2p_hf.modeling import character_tokenizer


@dataclass
class Arguments(training.PinyinTrainingArguments):  # every option of a Trainer is a flag; these to play with
    output_dir: str = "runs/primer/pinyin_bert"
    general: list[str] = field(default_factory=lambda: ["hsk"])
    domain: list[str] = field(default_factory=lambda: ["bundled"])
    max_train_samples: int = 12_000  # of the domain; with more it is better, and slower
    pretraining_epochs: float = 1
    learning_rate: float = 2e-3
    num_train_epochs: float = 3
    replay: float = 0.3
    per_device_train_batch_size: int = 32
    logging_strategy: str = "epoch"
    eval_strategy: str = "no"
    save_strategy: str = "no"


class MaskedBert(BertForMaskedLM):
    """Guess the hidden characters only: to score 8,286 characters at every other place would take most of the time."""

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, labels=None):
        hidden = labels != -100
        logits = self.cls(self.bert(input_ids, attention_mask).last_hidden_state[hidden])
        return {"loss": cross_entropy(logits, labels[hidden]), "logits": logits}


def main() -> None:
    args, folder = start(Arguments, __doc__)
    general = training.load_splits(training.DataArguments(train_datasets=args.general, test_fraction=0.1), args.seed)
    domain = training.load_splits(
        training.DataArguments(train_datasets=args.domain, label_monophones=False), args.seed
    )
    domain.train = domain.train.shuffle(args.seed).select(range(min(args.max_train_samples, len(domain.train))))
    results = {}

    def measure(stage, model):
        system = pipeline_system(training.make_pipeline(model, tokenizer), use_lexicon=False)
        found, _ = evaluate_system(system, domain.tests["bundled@test"])
        kept, _ = evaluate_system(system, general.tests["train_datasets (held out)"])
        means = {key: found[f"{key}_macro"] for key in ("precision", "recall", "f1")}
        results[stage] = {"accuracy": found["accuracy"], **means, "general": kept["hanzi_accuracy"]}

    # 1. Pretraining: guess hidden characters from their neighbours. Any text will do, no labels are needed.
    tokenizer = character_tokenizer(model_max_length=64)
    shape = {"hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 512}
    shape |= {"max_position_embeddings": 64, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = MaskedBert(BertConfig(vocab_size=len(tokenizer), **shape))
    texts = Dataset.from_dict(tokenizer(list(general.train["text"]) + list(domain.train["text"]), truncation=True))
    options = replace(args, num_train_epochs=args.pretraining_epochs)
    trainer = Trainer(model, options, DataCollatorForLanguageModeling(tokenizer), texts, processing_class=tokenizer)
    if args.pretraining_epochs:
        trainer.train()
    trainer.save_model(folder / "pretrained")

    # 2. Fine-tuning: a new head over the syllables. 3. Adaptation: harder sentences, with some of the earlier ones.
    mixed = general.train.shuffle(args.seed).select(range(round(args.replay * len(general.train))))
    adapted = replace(domain, train=concatenate_datasets([domain.train, mixed]))

    def tune(stage, splits, **options):
        training.build_trainer(model, tokenizer, splits, replace(args, **options)).train()
        measure(stage, model)

    model, tokenizer = training.load_base(training.ModelArguments(str(folder / "pretrained")))
    measure("pretrained", model)
    tune("fine-tuned", general)
    tune("adapted", adapted, learning_rate=args.learning_rate / 2)

    # 4. The last step from a base with four layers and hours of step 1. From here recipes/finetune.py goes on.
    model, tokenizer = training.load_base(training.ModelArguments())
    measure("the bundled base", model)
    tune("the bundled base, adapted", adapted, learning_rate=args.learning_rate / 6, num_train_epochs=0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    report(results, folder)


if __name__ == "__main__":
    run(main)
