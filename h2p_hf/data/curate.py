"""Check sentence files and print their coverage, cut a pool of sentences into three new split files, or add to train.

python -m h2p_hf.data.curate check [FOLDER]
python -m h2p_hf.data.curate split ROWS.tsv [ROWS.tsv ...] FOLDER
python -m h2p_hf.data.curate add ROWS.tsv [ROWS.tsv ...] FOLDER
"""

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import CountVectorizer

from ..errors import InputError, run
from ..files import atomic_write
from ..lexicon import general_standard, is_polyphone, left_out, phrase_table, readings, tone_variants
from ..text import is_hanzi
from .bundled import FOLDER, KINDS, SPLITS, Sentence, read_sentences

LENGTHS = (6, 40)
"""Shortest and longest sentence, in characters."""
ENOUGH = 8
"""What a reading should have, in sentences; those below are listed."""
OVERLAP = 0.5
"""Two sentences are near-duplicates if more than this share of the character trigrams of either is in the other
(containment: Broder 1997, On the resemblance and containment of documents)."""
LONGEST_WORD = 8
"""Longest phrase that counts as a word around a trap, in characters."""


def near_duplicates(sentences: Sequence[Sentence]) -> list[tuple[int, int]]:
    """Return the pairs of sentences, by index, that share most of their trigrams (see `OVERLAP`)."""
    texts = ["".join(filter(is_hanzi, sentence.text)) for sentence in sentences]
    if sum(len(text) >= 3 for text in texts) < 2:
        return []
    grams = CountVectorizer(analyzer="char", ngram_range=(3, 3), binary=True).fit_transform(texts).astype("int32")
    sizes = np.asarray(grams.sum(axis=1)).ravel()
    shared = (grams @ grams.T).tocoo()
    return [
        (int(i), int(j))
        for i, j, n in zip(shared.row, shared.col, shared.data, strict=True)
        if i < j and n > OVERLAP * min(sizes[i], sizes[j])
    ]


def trap_words(sentence: Sentence) -> set[str]:
    """Return the words of the phrase dictionary around the target of a trap; none for another kind of sentence."""
    text, at = sentence.text, sentence.at
    if sentence.kind != "trap":
        return set()
    spans = {
        text[start:end]
        for start in range(max(0, at - LONGEST_WORD + 1), at + 1)
        for end in range(max(start + 2, at + 1), min(len(text), start + LONGEST_WORD) + 1)
    }
    return {word for word in spans if word in phrase_table()}


def same_trap(sentences: Sequence[Sentence]) -> list[tuple[int, int]]:
    """Return pairs of traps, by index, that share the target and a word around it; pairs that link all such traps."""
    last: dict[tuple[str, str], int] = {}
    pairs = []
    for i, sentence in enumerate(sentences):
        for word in trap_words(sentence):
            key = (sentence.char, word)
            if key in last:
                pairs.append((last[key], i))
            last[key] = i
    return pairs


def problems(splits: Mapping[str, Sequence[Sentence]]) -> Iterator[str]:
    """Yield what is wrong with sentences, a line each: readings that the lexicon does not have, lengths, characters
    that do not belong, duplicates, near-duplicates or traps on one word in two splits, readings that a split lacks, and
    kinds that hardly occur in a split of some size.
    """
    rows = [(split, sentence) for split, sentences in splits.items() for sentence in sentences]
    sentences = [sentence for _, sentence in rows]
    seen: dict[str, str] = {}
    for sentence in sentences:
        if sentence.reading not in readings(sentence.char):
            yield f"{sentence.where}: {sentence.char} has no reading {sentence.reading}, it has {', '.join(readings(sentence.char))}"
        if not LENGTHS[0] <= len(sentence.text) <= LENGTHS[1]:
            yield f"{sentence.where}: {len(sentence.text)} characters, not {LENGTHS[0]} to {LENGTHS[1]}"
        if odd := [char for char in sentence.text if char.isspace() or char in "\"',;?!" or not char.isprintable()]:
            yield f"{sentence.where}: has {odd[0]!r}: write Chinese punctuation and no spaces"
        if sentence.text in seen:
            yield f"{sentence.where}: the same sentence is in {seen[sentence.text]}"
        seen.setdefault(sentence.text, sentence.where)
    for pairs, what in (
        (near_duplicates(sentences), "nearly the same"),
        (same_trap(sentences), "a trap on the same word"),
    ):
        for i, j in pairs:
            if rows[i][0] != rows[j][0]:
                yield f"{sentences[j].where}: {what} is in another split, {sentences[i].where}"
    covered = {split: {(s.char, s.reading) for s in part} for split, part in splits.items()}
    everything = set().union(*covered.values())
    for split in splits:
        for char, reading in sorted(everything - covered[split]):
            yield f"{split}: no sentence for {char} {reading}"
    for split, part in splits.items():
        for kind in KINDS:
            if len(part) >= 100 and sum(s.kind == kind for s in part) < len(part) / 10:
                yield f"{split}: less than a tenth of the sentences are {kind}"


def gaps(splits: Mapping[str, Sequence[Sentence]]) -> Iterator[str]:
    """Yield the readings of polyphones of the general-standard table that have no sentence though `left_out` does not
    list them, and those that have one though it does, a line each.
    """
    everything = {(s.char, s.reading) for part in splits.values() for s in part}
    excused = left_out()
    for char, reading in sorted(everything & set(excused)):
        yield f"left_out.tsv lists {char} {reading}, which has sentences"
    for char in general_standard():
        for reading in readings(char):
            known = (char, reading) in everything or (char, reading) in excused or reading in tone_variants(char)
            if is_polyphone(char) and not known:
                yield f"no sentence for {char} {reading}, and left_out.tsv does not say why"


def coverage(splits: Mapping[str, Sequence[Sentence]]) -> str:
    """Return the size of each split, and how many sentences each reading has, as Markdown."""
    lines = ["| split | sentences | characters | readings | " + " | ".join(KINDS) + " |"]
    lines.append("| --- |" + " ---: |" * (3 + len(KINDS)))
    everything = [sentence for part in splits.values() for sentence in part]
    for split, part in {**splits, "all": everything}.items():
        kinds = Counter(s.kind for s in part)
        numbers = [len(part), len({s.char for s in part}), len({(s.char, s.reading) for s in part})]
        numbers += [kinds[kind] for kind in KINDS]
        lines.append(f"| {split} | " + " | ".join(f"{n:,}" for n in numbers) + " |")
    counts = Counter((s.char, s.reading) for s in everything)
    if counts:
        few = sorted((n, *key) for key, n in counts.items() if n < ENOUGH)
        lines += [
            "",
            f"sentences a reading: min {min(counts.values())}, median {median(counts.values()):g}, "
            f"max {max(counts.values())}; {len(few)} of {len(counts)} readings have fewer than {ENOUGH}"
            + (": " + ", ".join(f"{char} {reading} ({n})" for n, char, reading in few) if few else ""),
        ]
    return "\n".join(lines)


def split(sentences: Iterable[Sentence], share: float = 0.1, seed: int = 0) -> dict[str, list[Sentence]]:
    """Put sentences into train, validation and test, so that every reading is in each.

    Near-duplicates, and traps on the same word, stay together: nobody shall pass the test by having learnt its words
    by heart. Only a reading that would be missing in a split otherwise gives up the latter.

    Args:
        sentences (iterable of `Sentence`): the rows; every reading needs three.
        share (`float`, *optional*, defaults to 0.1): of validation, and of test.
        seed (`int`, *optional*, defaults to 0): of the random order.

    Raises:
        InputError: naming a reading that has too few different sentences.
    """
    rows = _sorted(sentences)
    rng = random.Random(seed)
    rng.shuffle(rows)
    near, traps = near_duplicates(rows), same_trap(rows)
    keys = [(row.char, row.reading) for row in rows]
    total = Counter(keys)
    where: dict[int, str] = {}
    taken = {name: Counter() for name in SPLITS}

    def place(group: Sequence[int], name: str, limit: Callable[[int], int]) -> None:
        counts = Counter(keys[i] for i in group)
        free = all(i not in where for i in group)
        if free and all(taken[name][key] + n <= limit(total[key]) for key, n in counts.items()):
            where.update(dict.fromkeys(group, name))
            taken[name].update(counts)

    def wanted(count: int) -> int:
        return max(1, round(share * count))

    # Groups that hold together are too large for the share of their readings: some go in whole, up to a quarter.
    for group in _groups(len(rows), near + traps):
        if len(group) > 1 and rng.random() < 2 * share:
            place(group, rng.choice(["validation", "test"]), lambda count: max(wanted(count), count // 4))
    for links in (near + traps, near):
        for name in ("test", "validation"):
            for group in _groups(len(rows), links):
                if links is not near or any(not taken[name][keys[i]] for i in group):
                    place(group, name, wanted)
    parts: dict[str, list[Sentence]] = {name: [] for name in SPLITS}
    for i, row in enumerate(rows):
        parts[where.get(i, "train")].append(row)
    for name, part in parts.items():
        if missing := sorted(set(keys) - {(s.char, s.reading) for s in part}):
            listed = ", ".join(f"{char} {reading}" for char, reading in missing)
            raise InputError(f"too few different sentences for a {name} split: write more for {listed}")
    return parts


def new_for_train(splits: Mapping[str, Sequence[Sentence]], sentences: Iterable[Sentence]) -> list[Sentence]:
    """Return the sentences that may join train: none that is there already, is nearly the same as a held-out one, or is a
    trap on the same word as one.
    """
    held_out = [row for name, part in splits.items() if name != "train" for row in part]
    known = {row.text for row in splits["train"]}
    fresh = []
    for row in sentences:
        if row.text not in known:
            known.add(row.text)
            fresh.append(row)
    near = {j for i, j in near_duplicates(held_out + fresh) if i < len(held_out) <= j}
    traps = {(row.char, word) for row in held_out for word in trap_words(row)}
    return [
        row
        for j, row in enumerate(fresh, len(held_out))
        if j not in near and not any((row.char, word) in traps for word in trap_words(row))
    ]


def _sorted(sentences: Iterable[Sentence]) -> list[Sentence]:
    return sorted(sentences, key=lambda s: (s.char, s.reading, s.sentence))


def _groups(count: int, links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return the sets of indices below `count` that links hold together."""
    left, right = zip(*links, strict=True) if links else ((), ())
    graph = coo_array(([1] * len(links), (left, right)), shape=(count, count))
    groups = defaultdict(list)
    for i, label in enumerate(connected_components(graph, directed=False)[1]):
        groups[int(label)].append(i)
    return list(groups.values())


def write_sentences(path: str | Path, sentences: Iterable[Sentence]) -> None:
    """Write a sentence file, by character and reading."""
    with atomic_write(path) as file:
        file.write("\t".join(Sentence._fields[1:]) + "\n")
        file.writelines("\t".join(sentence[1:]) + "\n" for sentence in _sorted(sentences))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="list what is wrong and print the coverage; exit code 2 if anything is")
    check.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="default: the bundled sentences")
    cut = commands.add_parser("split", help="split the rows of sentence files into a new folder, and check it")
    cut.add_argument("files", nargs="+", type=Path)
    cut.add_argument("folder", type=Path, help="must not exist")
    add = commands.add_parser(
        "add", help="add rows to train, those that are not too near to held-out ones, and check it"
    )
    add.add_argument("files", nargs="+", type=Path)
    add.add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.command == "split":
        if args.folder.exists():
            raise InputError(f"{args.folder} is there already: give the name of a new folder")
        parts = split(row for file in args.files for row in read_sentences(file))
        try:
            args.folder.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {args.folder}: {error.strerror}") from None
        for name, part in parts.items():
            write_sentences(args.folder / f"{name}.tsv", part)
    splits = {name: list(read_sentences(args.folder / f"{name}.tsv")) for name in SPLITS}
    if args.command == "add":
        rows = [row for file in args.files for row in read_sentences(file)]
        fresh = new_for_train(splits, rows)
        print(f"{len(fresh)} of {len(rows)} sentences go into train")
        splits["train"] += fresh
    found = list(problems(splits))
    if args.folder == FOLDER:
        found += gaps(splits)
    print(*found, coverage(splits), sep="\n")
    if found:
        raise InputError(f"{len(found)} problems in {args.folder}: see above")
    if args.command == "add":
        write_sentences(args.folder / "train.tsv", splits["train"])


if __name__ == "__main__":
    run(main)
