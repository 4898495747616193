"""Plot a validation metric against the tokens seen, over one or more runs that go on from each other.

Runs need --include_num_input_tokens_seen true.

python recipes/plot_training.py --runs runs/base runs/small --output training.png
"""

import argparse
import json
from pathlib import Path

import matplotlib

from h2p_hf.errors import InputError, run
from h2p_hf.evaluation import save_figure

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", required=True, help="output folders, in the order of the stages")
    parser.add_argument("--metric", default="eval_accuracy", help="a key of the validation metrics")
    parser.add_argument("--output", required=True, help="image to write, such as training.png")
    args = parser.parse_args()
    figure, axis = plt.subplots(figsize=(7, 4))
    before = 0
    for folder in args.runs:
        state = Path(folder) / "trainer_state.json"
        try:
            log = json.loads(state.read_text("utf-8"))["log_history"]
        except (OSError, ValueError, KeyError):
            raise InputError(f"no finished run in {folder}: {state} is missing or no state of a Trainer") from None
        found = [(entry.get("num_input_tokens_seen"), entry[args.metric]) for entry in log if args.metric in entry]
        if not found or not all(tokens for tokens, _ in found):
            raise InputError(
                f"{state} has no {args.metric} with tokens: train with --include_num_input_tokens_seen true"
            )
        axis.plot(
            [(before + tokens) / 1e6 for tokens, _ in found], [100 * value for _, value in found], "o-", label=folder
        )
        before += found[-1][0]
    axis.set(xlabel="training tokens, millions", ylabel=f"{args.metric}, per cent")
    axis.legend()
    axis.grid(alpha=0.3)
    figure.tight_layout()
    try:
        save_figure(figure, args.output)
    except (OSError, ValueError) as error:  # a suffix that is no image format is a ValueError
        raise InputError(f"cannot write {args.output}: {' '.join(str(error).split())}") from None


if __name__ == "__main__":
    run(main)
