#!/usr/bin/env bash
# What each stage of the bundled checkpoint is worth: the chain of model_cards/h2p-small.md with one stage left out each time, all
# fine-tuned for three passes. Needs H2P_CPP_DIR; 80 minutes on two cores. What is done already is not done again.
#
#   recipes/ablations.sh TEXT_FOLDER silver.jsonl runs/ablations
set -euo pipefail
text=$1 silver=$2 out=$3
cd "$(dirname "$0")/.."
mkdir -p "$out"
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000
launch=(accelerate launch --quiet --config_file accelerate_config.yaml --num_cpu_threads_per_process "$(nproc)")

run() {  # NAME RECIPE CONFIG OPTIONS...
    local name=$1 recipe=$2 config=$3
    shift 3
    [ -f "$out/$name/metrics.json" ] || "${launch[@]}" "recipes/$recipe.py" "recipes/configs/$config.yaml" --output_dir "$out/$name" "$@"
}
tune() {  # NAME BASE DATASETS...
    local name=$1 base=$2
    shift 2
    run "$name" finetune small --model_name_or_path "$base" --num_train_epochs 3 --baselines majority --train_datasets "$@"
}
ours=(bundled bundled) other=(hsk cpp@dev_train)

tune all h2p_hf/resources/base "${ours[@]}" "${other[@]}"
tune without_our_sentences h2p_hf/resources/base "${other[@]}"
run silver_alone finetune silver_small --train_datasets "$silver" --config_overrides num_hidden_layers=4
tune without_pretraining "$out/silver_alone" "${ours[@]}" "${other[@]}"
# As long as the silver stage takes
run pretraining_alone pretrain pretrain_small --train_files "$text" --max_steps 1500
tune without_silver "$out/pretraining_alone" "${ours[@]}" "${other[@]}"

cp -r "$out/all" "$out/without_phrases"
python - "$out/without_phrases" <<'PYTHON'
import sys
from transformers import AutoConfig
config = AutoConfig.from_pretrained(sys.argv[1])
config.phrase_bonus = 0.0
config.save_pretrained(sys.argv[1])
PYTHON
python recipes/evaluate.py --data bundled@test cpp@dev_heldout --system "$out/all" --compare "$out/all@argmax" \
    "$out"/{without_phrases,without_our_sentences,without_silver,without_pretraining} --output "$out/evaluation"
