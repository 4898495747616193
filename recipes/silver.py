"""Label raw text by a phrase dictionary, g2pM and pypinyin where they are fairly sure; writes JSON lines with confidence.

python recipes/silver.py --files TEXT_FOLDER --output silver.jsonl --characters 10000000
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import islice
from statistics import mean

from tqdm import tqdm

from h2p_hf.baselines import Tagger, g2pm_probabilities
from h2p_hf.data import load
from h2p_hf.data.raw_text import load_raw_text
from h2p_hf.data.silver import Silver, silver_labels
from h2p_hf.errors import InputError, run
from h2p_hf.files import atomic_write, json_line
from h2p_hf.lexicon import is_polyphone, phrase_table
from h2p_hf.parallel import bounded_map, cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--files", nargs="+", required=True, help="text files, folders or Hub datasets: one passage a line"
    )
    parser.add_argument("--output", required=True, help="JSON-lines file to write")
    parser.add_argument("--characters", type=int, default=10_000_000, help="how much to write, in characters")
    parser.add_argument(
        "--per_reading",
        type=int,
        default=1000,
        help="take a line while one of its polyphones, as the phrases read it, stands in fewer lines taken so far",
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
    parser.add_argument("--num_workers", type=int, default=cores(), help="processes that label")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not 0 <= args.min_confidence <= 1:
        raise InputError(f"min_confidence must be from 0 to 1, got {args.min_confidence}")
    if min(args.characters, args.per_reading, args.num_workers) < 1:
        raise InputError("characters, per_reading and num_workers must be at least 1")
    texts = load_raw_text(args.files, seed=args.seed)
    precision = measure(args.check)

    written = 0
    with (
        atomic_write(args.output) as file,
        tqdm(total=args.characters, unit="char") as bar,
        ProcessPoolExecutor(args.num_workers) as pool,
    ):
        batches = batched(balanced(texts, args.per_reading), 64)
        for batch in bounded_map(pool, label, batches, 4 * args.num_workers):
            for text, row in batch:
                sure = [
                    precision.get(label.source, precision["all"]) if label else 0.0
                    for char, label in zip(text, row, strict=True)
                    if is_polyphone(char)
                ]
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


def balanced(rows: Iterable[dict], per_reading: int) -> Iterator[str]:
    """Yield the texts that have a polyphone whose reading by the phrases (or None) has not been seen often enough, once
    each: a stream of several files starts the small ones again.
    """
    taken: Counter[tuple[str, str | None]] = Counter()
    seen: set[int] = set()
    for row in rows:
        if (key := hash(row["text"])) in seen:
            continue
        seen.add(key)
        votes = phrase_table().readings(row["text"])
        found = {(char, votes.get(at)) for at, char in enumerate(row["text"]) if is_polyphone(char)}
        if any(taken[pair] < per_reading for pair in found):
            taken.update(found)
            yield row["text"]


def batched(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield lists of so many texts."""
    texts = iter(texts)
    return iter(lambda: list(islice(texts, size)), [])


@cache
def tagger() -> Tagger:
    """Return the tagger of this process."""
    return g2pm_probabilities()


def label(texts: list[str]) -> list[tuple[str, list[Silver | None]]]:
    """Return the texts with their labels."""
    return list(zip(texts, silver_labels(texts, tagger()), strict=True))


def measure(names: list[str]) -> dict[str, float]:
    """Print how often the labels are right on labelled datasets, and return it by source over all of them."""
    total: dict[str, list[bool]] = defaultdict(list)
    for name in names:
        found: dict[str, list[bool]] = defaultdict(list)
        missing = 0
        dataset = load(name)
        for row, silver in zip(dataset, silver_labels(dataset["text"], tagger()), strict=True):
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
