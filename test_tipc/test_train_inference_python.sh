#!/usr/bin/env bash
# The chain from training to the service, under the names of JunnYu/ConvBERT-Prod. scripts/chain.sh does the work.
#
#   bash test_tipc/test_train_inference_python.sh CONFIG [MODE]
#
# CONFIG  lines NAME:VALUE with the names TASK, MODEL and DATA_DIR, as scripts/chain.sh knows them; an empty
#         value stands for its default. test_tipc/configs/ConvBERT/train_infer_python.txt is one.
# MODE    lite_train_lite_infer (default), lite_train_whole_infer or whole_train_whole_infer
# The results are in test_tipc/output; PYTHON names the interpreter.
set -eu
config=${1:?usage: bash test_tipc/test_train_inference_python.sh CONFIG [MODE]}
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -f "$config" ]; then
  echo "error: $config: no such file; test_tipc/configs/ConvBERT has them" >&2
  exit 1
fi
number=0
while IFS=: read -r name value || [ -n "$name" ]; do
  number=$((number + 1))
  case $name in
    TASK|MODEL|DATA_DIR) [ -z "$value" ] || export "$name=$value" ;;
    '#'*|'') ;;
    *) echo "error: $config:$number: expected TASK, MODEL or DATA_DIR and a colon, found '$name'" >&2; exit 1 ;;
  esac
done < "$config"
exec bash "$here/../scripts/chain.sh" "${2:-lite_train_lite_infer}" "$here/output"
