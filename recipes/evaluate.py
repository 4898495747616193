"""Evaluate a checkpoint or a baseline on a dataset, or several systems side by side.

python recipes/evaluate.py --system runs/quickstart --data bundled@test --output runs/evaluation
python recipes/evaluate.py --system bundled --compare pypinyin large_pinyin g2pM --data bundled@test cpp@dev_heldout
"""

import argparse
from pathlib import Path

from h2p_hf.data import load, load_all
from h2p_hf.errors import run
from h2p_hf.evaluation import (
    BASELINES,
    evaluate_system,
    load_system,
    report_folder,
    table,
    write_report,
    write_summary,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--system",
        default="bundled",
        help=f"a checkpoint folder, a Hub id, bundled, or a baseline ({', '.join(BASELINES)}); "
        "USER/NAME@REVISION is another version, CHECKPOINT@argmax reads without the lexicon, @torch, @onnx and @onnx-int8 choose what runs it",
    )
    parser.add_argument("--compare", nargs="*", default=[], metavar="SYSTEM", help="more systems, on the same rows")
    parser.add_argument("--data", nargs="+", default=["bundled@test"], help="datasets, see h2p_hf.data.load")
    parser.add_argument("--majority_data", nargs="+", default=["bundled"], help="what the majority baseline counts")
    parser.add_argument("--dictionary", help="user dictionary for the checkpoints")
    parser.add_argument("--output", default="runs/evaluation", help="folder; each data set and system gets its own")
    args = parser.parse_args()

    report_folder(args.output)
    datasets = {name: load(name) for name in args.data}
    systems = dict.fromkeys([args.system, *args.compare])
    majority_data = load_all(args.majority_data) if "majority" in systems else None
    results, errors = {}, []
    for system in systems:
        read = load_system(system, majority_data, dictionary=args.dictionary)
        for name, dataset in datasets.items():
            scores, predictions = evaluate_system(read, dataset)
            results[name, system] = scores
            folder = report_folder(args.output, name, system)
            found = write_report(folder, dataset, predictions, scores, f"{system} on {name}")
            if (name, system) == (args.data[0], args.system):
                errors = found
    write_summary(Path(args.output) / "metrics.json", results, args.system, errors)
    print(table(dict(sorted(results.items(), key=lambda item: args.data.index(item[0][0])))))
    print(f"metrics.json, per_character.csv, errors.jsonl and confusions.png are in {args.output}")


if __name__ == "__main__":
    run(main)
