#!/usr/bin/env bash
# What each stage of the bundled checkpoint is worth: the chain of model_cards/h2p-small.md at a reduced scale, with one stage
# left out each time. Needs H2P_CPP_DIR; about an hour on two cores.
#
#   recipes/ablations.sh TEXT_FOLDER runs/ablations
set -euo pipefail
text=$1 out=$2
cd "$(dirname "$0")/.."
mkdir -p "$out"
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000
launch=(accelerate launch --quiet --config_file accelerate_config.yaml --num_cpu_threads_per_process "$(nproc)")

python recipes/silver.py --files "$text" --output "$out/silver.jsonl" --characters 2000000 --per_reading 60 \
    --check bundled@train cpp@dev_train

pretrain() { "${launch[@]}" recipes/pretrain.py recipes/configs/pretrain_small.yaml --train_files "$text" --max_steps 700 "$@"; }
silver() {
    "${launch[@]}" recipes/finetune.py recipes/configs/silver_small.yaml --train_datasets "$out/silver.jsonl" "$@"
}
labelled() {
    "${launch[@]}" recipes/finetune.py recipes/configs/small.yaml --num_train_epochs 2 --baselines majority \
        --train_datasets bundled hsk cpp@dev_train "$@"
}

pretrain --output_dir "$out/pretrained"
silver --model_name_or_path "$out/pretrained" --output_dir "$out/silver"
labelled --model_name_or_path "$out/silver" --output_dir "$out/all"

labelled --model_name_or_path "$out/pretrained" --output_dir "$out/without_silver"
silver --config_overrides num_hidden_layers=4 --output_dir "$out/fresh_silver"
labelled --model_name_or_path "$out/fresh_silver" --output_dir "$out/without_pretraining"
labelled --model_name_or_path "$out/silver" --output_dir "$out/without_our_sentences" --train_datasets hsk cpp@dev_train
# The teacher is the bundled checkpoint, which is the result of the whole chain
"${launch[@]}" recipes/distill.py recipes/configs/small.yaml --num_train_epochs 2 --baselines majority \
    --train_datasets bundled hsk cpp@dev_train --teachers h2p_hf/resources/checkpoint g2pM --teacher_weights 3 1 \
    --model_name_or_path "$out/silver" --output_dir "$out/distilled"

cp -r "$out/all" "$out/without_phrases"
python - "$out/without_phrases" <<'PYTHON'
import sys
from transformers import AutoConfig
config = AutoConfig.from_pretrained(sys.argv[1])
config.phrase_bonus = 0.0
config.save_pretrained(sys.argv[1])
PYTHON
python recipes/evaluate.py --data bundled@test cpp@dev_heldout --system "$out/all" --compare "$out/all@argmax" \
    "$out"/{without_phrases,without_silver,without_pretraining,without_our_sentences,distilled}
