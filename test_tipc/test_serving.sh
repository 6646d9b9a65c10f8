#!/usr/bin/env bash
# The service's part of the chain, under the name of JunnYu/ConvBERT-Prod: it needs the parts before it, so the whole
# chain runs, which starts the service, asks it and compares its answers.
#
#   bash test_tipc/test_serving.sh CONFIG [MODE]
exec bash "$(dirname "$0")/test_train_inference_python.sh" "$@"
