#!/bin/bash
# A report on three branches of a shop, one state for each call. Call it until it says that it is complete.
set -e
cd "$(dirname "$0")"
STATE_FILE=.report_state
STATE=$(cat "$STATE_FILE" 2>/dev/null || echo COLLECT)
STATE=$(gitckpt state get step 2>/dev/null || echo COLLECT)

case "$STATE" in
COLLECT)
    mkdir -p work
    for branch in north south west; do
        seq 1 200 | sed "s/^/$branch;/" > "work/$branch.csv"
    done
    echo COUNT > "$STATE_FILE"
    ;;
COUNT)
    for file in work/*.csv; do
        wc -l < "$file" > "${file%.csv}.count"
    done
    echo REPORT > "$STATE_FILE"
    ;;
REPORT)
    for file in work/*.count; do
        echo "$(basename "$file" .count): $(cat "$file")"
    done > report.txt
    echo CLEAN > "$STATE_FILE"
    ;;
CLEAN)
    rm -rf work
    echo COMPLETE > "$STATE_FILE"
    ;;
COMPLETE)
    echo "complete: see report.txt"
    exit 0
    ;;
*)
    echo "unknown state: $STATE" >&2
    exit 1
    ;;
esac
gitckpt state set step "$(cat "$STATE_FILE")"
gitckpt checkpoint -m "$STATE"
echo "$STATE is done; call me again"
