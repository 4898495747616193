"""Export a fine-tuned checkpoint to ONNX, in float32 and int8, and compare their answers with those of the PyTorch model.

python recipes/export.py --model runs/small --data bundled@test
"""

import argparse
from pathlib import Path

import transformers

from h2p_hf.data import load
from h2p_hf.errors import InputError, run
from h2p_hf.evaluation import evaluate_system, load_system
from h2p_hf.metrics import polyphone_positions
from h2p_hf.modeling import load_model, load_tokenizer
from h2p_hf.modeling.export import export_onnx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="checkpoint folder or Hub id")
    parser.add_argument("--revision", help="branch, tag or commit on the Hub")
    parser.add_argument(
        "--output", help="folder to write the checkpoint and onnx/ into; default: a --model folder itself"
    )
    parser.add_argument("--data", nargs="+", default=["bundled@test"], help="what to compare on, as in evaluate.py")
    args = parser.parse_args()
    if not (args.output or Path(args.model).is_dir()):
        raise InputError(f"{args.model} is no folder: say where to write with --output")
    datasets = {name: load(name) for name in args.data}
    model = load_model(args.model, args.revision, for_inference=True)
    tokenizer = load_tokenizer(args.model, args.revision)
    output = args.output or args.model
    if args.output:
        model.save_pretrained(output)
    tokenizer.save_pretrained(output)  # tokenizer.json, which a checkpoint may lack
    files = export_onnx(model, tokenizer, output)

    print("| data | backend | MiB | accuracy | same as torch |\n| --- | --- | ---: | ---: | ---: |")
    for name, dataset in datasets.items():
        places = [polyphone_positions(row["text"], row["pinyin"]) for row in dataset]
        reference: list[str | None] = []
        for backend in ("torch", *files):
            scores, predictions = evaluate_system(load_system(f"{output}@{backend}"), dataset)
            found = [row[at] for row, wanted in zip(predictions, places, strict=True) for at in wanted]
            reference = reference or found
            same = sum(a == b for a, b in zip(found, reference, strict=True)) / max(len(reference), 1)
            weights = files.get(backend, Path(output) / transformers.utils.SAFE_WEIGHTS_NAME)
            size = f"{weights.stat().st_size / 2**20:.1f}" if weights.exists() else "-"
            print(f"| {name} | {backend} | {size} | {scores['accuracy']:.2%} | {same:.2%} |")


if __name__ == "__main__":
    run(main)
