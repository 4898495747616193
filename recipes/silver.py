"""Label raw text by a phrase dictionary, g2pM and pypinyin where they are fairly sure; writes JSON lines with confidence.

python recipes/silver.py --files TEXT_FOLDER --output silver.jsonl --characters 10000000
"""

import argparse
import random
from collections import defaultdict
from statistics import mean

from tqdm import tqdm

from h2p_hf.baselines import Tagger, g2pm_probabilities
from h2p_hf.data import load
from h2p_hf.data.raw_text import load_raw_text
from h2p_hf.data.silver import silver_labels
from h2p_hf.errors import InputError, run
from h2p_hf.files import atomic_write, json_line
from h2p_hf.lexicon import is_polyphone, readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--files", nargs="+", required=True, help="text files, folders or Hub datasets: one passage a line"
    )
    parser.add_argument("--output", required=True, help="JSON-lines file to write")
    parser.add_argument("--characters", type=int, default=10_000_000, help="how much to write, in characters")
    parser.add_argument(
        "--keep_common", type=float, default=0.4, help="share of the lines without a rare reading, 0-1"
    )
    parser.add_argument(
        "--check",
        nargs="+",
        default=["bundled@train"],
        help="labelled datasets to measure on first: the precision of each source there is the confidence of its labels",
    )
    parser.add_argument(
        "--min_confidence",
        type=float,
        default=0.0,
        help="leave out rows whose mean over their polyphones is below (0-1); one without a label counts 0",
    )
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not (0 <= args.keep_common <= 1 and 0 <= args.min_confidence <= 1 and args.characters > 0):
        raise InputError("give keep_common and min_confidence from 0 to 1, and characters above 0")
    texts = load_raw_text(args.files, seed=args.seed)
    tagger = g2pm_probabilities()
    precision = measure(args.check, tagger)

    rng = random.Random(args.seed)
    written = 0
    with atomic_write(args.output) as file, tqdm(total=args.characters, unit="char") as bar:
        for batch in texts.batch(256):
            for text, row in zip(batch["text"], silver_labels(batch["text"], tagger), strict=True):
                labels = [(char, label) for char, label in zip(text, row, strict=True) if is_polyphone(char)]
                rare = any(label and label.reading != readings(char)[0] for char, label in labels)
                if not text or not (rare or rng.random() < args.keep_common):
                    continue
                sure = [precision.get(label.source, precision["all"]) if label else 0.0 for _, label in labels]
                confidence = mean(sure) if sure else 1.0
                if confidence < args.min_confidence:
                    continue
                pinyin = [label and label.reading for label in row]
                file.write(json_line({"text": text, "pinyin": pinyin, "confidence": round(confidence, 3)}))
                written += len(text)
                bar.update(len(text))
            if written >= args.characters:
                break
        if not written:
            raise InputError(f"no passage of {', '.join(args.files)} has a confidence of {args.min_confidence}")


def measure(names: list[str], tagger: Tagger) -> dict[str, float]:
    """Print how often the labels are right on labelled datasets, and return it by source over all of them."""
    total: dict[str, list[bool]] = defaultdict(list)
    for name in names:
        found: dict[str, list[bool]] = defaultdict(list)
        missing = 0
        dataset = load(name)
        for row, silver in zip(dataset, silver_labels(dataset["text"], tagger), strict=True):
            for char, gold, label in zip(row["text"], row["pinyin"], silver, strict=True):
                if gold is not None and is_polyphone(char):
                    if label is None:
                        missing += 1
                        continue
                    found["all"].append(label.reading == gold)
                    found[label.source].append(label.reading == gold)
        print(f"{name}: labelled polyphones by what the label rests on, {missing} more have none")
        for source, right in sorted(found.items()):
            print(f"  {source:24} {len(right):6} {mean(right):8.2%} right")
            total[source] += right
    if not total:
        raise InputError(f"{', '.join(names)}: no labelled polyphone to measure on: give other datasets with --check")
    return {source: mean(right) for source, right in total.items()}


if __name__ == "__main__":
    run(main)
