"""Train several architectures on the same data and print them side by side: size, training time, speed, accuracy.

Each config of finetune.py becomes a row, and a folder below OUTPUT; one that has finished there is not trained again.
Other flags go to finetune.py.

python recipes/compare_architectures.py --files TEXT --output runs/architectures
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from transformers.utils import SAFE_WEIGHTS_NAME

from h2p_hf.errors import InputError, run
from h2p_hf.files import atomic_write
from h2p_hf.onnx import ONNX_FILES

RECIPES = Path(__file__).parent
ACCURACIES = ("accuracy", "accuracy_by_character", "accuracy_by_reading")
SYSTEMS = ("after", "after, argmax")
BACKENDS = ("torch", "onnx-int8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    configs = [str(RECIPES / "configs" / f"{name}.yaml") for name in ("bilstm", "cnn", "bert", "bert_pretrained")]
    parser.add_argument(
        "--configs",
        nargs="+",
        default=configs,
        help="YAML files of finetune.py; default: bilstm, cnn and bert, from fresh weights, and bert_pretrained",
    )
    parser.add_argument("--train_datasets", nargs="+", default=["bundled", "hsk", "cpp@dev_train"], help="for all")
    parser.add_argument("--test_datasets", nargs="+", default=["bundled@test", "cpp@dev_heldout"], help="for all")
    parser.add_argument("--files", nargs="+", required=True, help="text to measure the speed on, as in benchmark.py")
    parser.add_argument("--characters", type=int, default=20_000, help="how much of it")
    parser.add_argument("--output", required=True, help="folder for the runs, speed.json and table.md")
    args, more = parser.parse_known_args()

    output = Path(args.output)
    data = ["--train_datasets", *args.train_datasets, "--test_datasets", *args.test_datasets]
    folders = {Path(config).stem: output / Path(config).stem for config in args.configs}
    for config, folder in zip(args.configs, folders.values(), strict=True):
        if not (folder / "metrics.json").exists():
            recipe("finetune.py", config, *more, *data, "--drop_duplicates", "true", "--output_dir", folder)
        if not (folder / ONNX_FILES["onnx-int8"]).exists():
            recipe("export.py", "--model", folder, "--data", args.test_datasets[0])
    systems = [f"{folder}@{backend}" for folder in folders.values() for backend in BACKENDS]
    speed = output / "speed.json"
    recipe(
        "benchmark.py",
        *("--files", *args.files, "--characters", args.characters, "--systems", *systems, "--output", speed),
    )
    text = table(folders, args.test_datasets, json.loads(speed.read_text("utf-8")))
    with atomic_write(output / "table.md") as file:
        file.write(text + "\n")
    print(text)


def recipe(name: str, *arguments: object) -> None:
    """Run another recipe in a process of its own.

    Raises:
        InputError: if it ends with an error.
    """
    print(f"\n{name} {' '.join(map(str, arguments))}\n", flush=True)
    if subprocess.run([sys.executable, str(RECIPES / name), *map(str, arguments)]).returncode:
        raise InputError(f"{name} failed: see its message above")


def table(folders: dict[str, Path], datasets: list[str], speed: dict) -> str:
    """Format runs and their speeds (the report of benchmark.py) as Markdown."""
    columns = [(data, system) for data in datasets for system in SYSTEMS]
    header = ["", "parameters", "MiB", "int8, MiB", "training, s"]
    header += [data + system.removeprefix("after") for data, system in columns]
    header += [f"characters/s, {backend}" for backend in BACKENDS]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, folder in folders.items():
        metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
        sizes = [(folder / file).stat().st_size for file in (SAFE_WEIGHTS_NAME, ONNX_FILES["onnx-int8"])]
        lines.append(
            [
                name,
                f"{metrics['num_parameters']:,}",
                *(f"{size / 2**20:.1f}" for size in sizes),
                f"{metrics['train_runtime']:,.0f}",
                *(
                    " / ".join(f"{100 * metrics['results'][data][system][key]:.2f}" for key in ACCURACIES)
                    for data, system in columns
                ),
                *(f"{speed['systems'][f'{folder}@{b}']['characters_per_second']:,.0f}" for b in BACKENDS),
            ]
        )
    note = "Accuracy in per cent by sample / character / reading; argmax is without lexicon and phrases. "
    note += f"{speed['machine']}, {speed['threads']} threads."
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", note])


if __name__ == "__main__":
    run(main)
