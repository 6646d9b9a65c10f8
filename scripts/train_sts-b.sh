#!/bin/sh
# STS-B with the published settings: scripts/train_sts-b.sh [FLAG …]; train.sh says what can be chosen.
exec "$(dirname "$0")/train.sh" sts-b "$@"
