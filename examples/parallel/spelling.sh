#!/usr/bin/env bash
# Words that are not in the list.
set -euo pipefail

sleep 0.2 # stands for work
cat text/*.txt | tr -cs '[:alpha:]' '\n' | sort -fu | grep -vixF -f words.txt > spelling.txt || true
echo "spelling: $(wc -l < spelling.txt) unknown" >> notes.txt
