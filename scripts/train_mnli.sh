#!/bin/sh
# MNLI with the published settings: scripts/train_mnli.sh [FLAG …]; train.sh says what can be chosen.
exec "$(dirname "$0")/train.sh" mnli "$@"
