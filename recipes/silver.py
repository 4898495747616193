"""Label raw text by a phrase dictionary, and where pypinyin and g2pM agree outside its phrases; writes JSON lines.

python recipes/silver.py --files TEXT_FOLDER --output silver.jsonl --characters 10000000
"""

import argparse
import random

from tqdm import tqdm

from h2p_hf.baselines import g2pm_system
from h2p_hf.data import load
from h2p_hf.data.raw_text import load_raw_text
from h2p_hf.data.silver import silver_labels
from h2p_hf.errors import run
from h2p_hf.files import atomic_write, json_line
from h2p_hf.lexicon import is_polyphone, readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", required=True, help="text files or folders: one passage a line")
    parser.add_argument("--output", required=True, help="JSON-lines file to write")
    parser.add_argument("--characters", type=int, default=10_000_000, help="how much to write, in characters")
    parser.add_argument(
        "--keep_common", type=float, default=0.4, help="share of the lines without a rare reading, 0-1"
    )
    parser.add_argument("--check", nargs="*", default=["bundled@train"], help="labelled datasets to measure on first")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tagger = g2pm_system()
    for name in args.check:
        print(f"{name}: {precision(name, tagger)}")

    rng = random.Random(args.seed)
    written = 0
    with atomic_write(args.output) as file, tqdm(total=args.characters, unit="char") as bar:
        for batch in load_raw_text(args.files, seed=args.seed).batch(256):
            for text, row in zip(batch["text"], silver_labels(batch["text"], tagger), strict=True):
                rare = any(
                    reading and is_polyphone(char) and reading != readings(char)[0]
                    for char, reading in zip(text, row, strict=True)
                )
                if not text or not (rare or rng.random() < args.keep_common):
                    continue
                file.write(json_line({"text": text, "pinyin": row}))
                written += len(text)
                bar.update(len(text))
            if written >= args.characters:
                break


def precision(name: str, tagger) -> str:
    """Say how many polyphones of a labelled dataset get a silver label, and how many of those are right."""
    dataset = load(name)
    total = given = right = 0
    for row, silver in zip(dataset, silver_labels(dataset["text"], tagger), strict=True):
        for char, gold, label in zip(row["text"], row["pinyin"], silver, strict=True):
            if gold is not None and is_polyphone(char):
                total += 1
                given += label is not None
                right += label == gold
    if not total:
        return "no labelled polyphones"
    return f"{given / total:.1%} of {total} polyphones labelled, {right / max(1, given):.2%} of those right"


if __name__ == "__main__":
    run(main)
