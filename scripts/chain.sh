#!/usr/bin/env bash
# The whole chain, checked end to end: train → export → infer on both engines → serve → request.
#
#   scripts/chain.sh MODE [DIR]
#
# MODE: lite_train_lite_infer   200 steps, 64 dev rows
#       lite_train_whole_infer  200 steps, all dev rows
#       whole_train_whole_infer all epochs (SST-2: 6315 steps), all dev rows
# DIR:  where everything goes (default: runs/chain/MODE); what stands there is replaced.
#
# By default it runs on the embedded sample. On real data: DATA_DIR=glue_data MODEL=conv-bert-base
# scripts/chain.sh …; TASK=rte for another task than sst-2; PYTHON names the interpreter.
#
# Every command leaves a line in DIR/results_python.log. Any failure, and any answer of the exported
# models or of the service that differs from the trained model's by more than rounding, ends with exit 1.
# Relative paths are taken from where you stand.
set -euo pipefail
clone=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$clone${PYTHONPATH:+:$PYTHONPATH}"

MODE=${1:-}
case $MODE in
  -h|--help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
  lite_train_lite_infer)   steps=200 rows=64 ;;
  lite_train_whole_infer)  steps=200 rows= ;;
  whole_train_whole_infer) steps= rows= ;;
  *) echo "usage: scripts/chain.sh {lite_train_lite_infer,lite_train_whole_infer,whole_train_whole_infer} [DIR]" >&2
     exit 2 ;;
esac
DIR=${2:-runs/chain/$MODE}
TASK=${TASK:-sst-2}
PYTHON=${PYTHON:-python}
LOG=$DIR/results_python.log
mkdir -p "$DIR"
# No file is written through a link that somebody else has put there.
set -o noclobber
rm -f "$LOG" "$DIR/serve.log"
: > "$LOG"
server=

finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
}
trap finish EXIT

# Run a command, its output in DIR/NAME.log, its line in the results log.
step() {
  local name=$1 line; shift
  line=${log_as:-$*}
  rm -f "$DIR/$name.log"
  if "$@" > "$DIR/$name.log" 2>&1; then
    echo "Run successfully with command - $line" | tee -a "$LOG"
  else
    echo "Run failed with command - $line" | tee -a "$LOG"
    tail -n 5 "$DIR/$name.log" >&2
    exit 1
  fi
}

if [ -n "${DATA_DIR:-}" ]; then
  recipe=()
  : "${MODEL:?with DATA_DIR name the pretrained MODEL too}"
else
  DATA_DIR=$DIR/data
  MODEL=$DATA_DIR/tiny-convbert
  rm -rf "$DATA_DIR"
  step sample "$PYTHON" -m scripts.make_sample --output_dir "$DATA_DIR"
  # A tiny model from random weights wants a high rate for all its layers.
  recipe=(--from_scratch --learning_rate 2e-3 --layer_lr_decay 1.0 --weight_decay 0.3 --bias_correction)
fi

step train "$PYTHON" -m glue.run_glue --task_name "$TASK" --data_dir "$DATA_DIR" --model_name_or_path "$MODEL" \
  --output_dir "$DIR/run" --overwrite_output_dir ${steps:+--max_steps "$steps"} ${recipe[@]+"${recipe[@]}"}
dev_rows() {  # the task's first dev rows, as deploy.infer, deploy.predict and deploy.client take them
  "$PYTHON" - "$TASK" "$DATA_DIR" "$DIR/rows.jsonl" "${rows:-}" <<'END'
import json
import sys
from pathlib import Path

from glue.data import read_split
from glue.tasks import task_named

task = task_named(sys.argv[1])
examples = read_split(task, task.of_kind("dev")[0], Path(sys.argv[2])).examples
with open(sys.argv[3], "w", encoding="utf-8") as file:
    for example in examples[: int(sys.argv[4] or len(examples))]:
        print(json.dumps(dict(zip(("text", "text_pair"), example.texts))), file=file)
END
}
step rows dev_rows
step predict "$PYTHON" -m deploy.predict --model_path "$DIR/run" --input "$DIR/rows.jsonl" \
  --output "$DIR/dynamic.jsonl"

for format in paddle onnx; do
  step "export_$format" "$PYTHON" -m deploy.export --model_path "$DIR/run" --save_inference_dir "$DIR/$format" \
    --format "$format" --input "$DIR/rows.jsonl"
  step "infer_$format" "$PYTHON" -m deploy.infer --model_dir "$DIR/$format" --input "$DIR/rows.jsonl" \
    --output "$DIR/$format.jsonl"
done

# The service says where it listens; then it is asked, and ended in the polite way.
serving=("$PYTHON" -m deploy.serve --model_dir "$DIR/onnx" --port 0)
"${serving[@]}" 2> "$DIR/serve.log" &
server=$!
url=
for _ in $(seq 600); do
  url=$(sed -n 's/^serving on //p' "$DIR/serve.log")
  if [ -n "$url" ] || ! kill -0 "$server" 2>/dev/null; then break; fi
  sleep 0.1
done
step request "$PYTHON" -m deploy.client --url "${url:-http://nowhere}" --input "$DIR/rows.jsonl" \
  --output "$DIR/served.jsonl"
step agree "$PYTHON" -m bench.compare_outputs "$DIR/dynamic.jsonl" "$DIR/paddle.jsonl" "$DIR/onnx.jsonl" "$DIR/served.jsonl"
cat "$DIR/agree.log"
ended() { kill "$server" && wait "$server"; }
log_as="${serving[*]}" step stop ended
server=
echo "all the same: $LOG"
