#!/bin/sh
# QQP with the published settings: scripts/train_qqp.sh [FLAG …]; train.sh says what can be chosen.
exec "$(dirname "$0")/train.sh" qqp "$@"
