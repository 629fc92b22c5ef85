#!/bin/sh
# Prints PASS when every text has a count above 0; else says which has not, and fails.
for text in workspace/*.txt; do
  count=$(cat "results/$(basename "$text" .txt).count") || exit 1
  if [ "$count" -le 0 ]; then
    echo "FAIL $text has no words"
    exit 1
  fi
done
echo PASS
