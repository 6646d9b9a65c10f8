#!/bin/sh
# MRPC with the published settings: scripts/train_mrpc.sh [FLAG …]; train.sh says what can be chosen.
exec "$(dirname "$0")/train.sh" mrpc "$@"
