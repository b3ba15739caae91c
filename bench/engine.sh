#!/usr/bin/env bash
# The engine beside llama.cpp, both in turn on the same files, medians of some rounds.
# usage: bench/engine.sh REFERENCE OUT.tsv MODEL.gguf...
#   REFERENCE is a program that prints "... pp512 X tg64 X b8 X label-req/s X" for MODEL THREADS 1.
#   OUT.tsv gets every run; the medians and their ratios are printed.
# TIERGATE names the program; ROUNDS (5), THREADS (2) and INSTRUCTIONS (the fastest) may be set.
# Decoding is also held against reading the same weights, without using them, in the same round.
set -euo pipefail
reference=$1
out=$2
shift 2
tiergate=${TIERGATE:-target/release/tiergate}
threads=${THREADS:-2}
instructions=${INSTRUCTIONS:+--instructions $INSTRUCTIONS}

printf 'engine\tmodel\tround\tload_before\tprefill\tdecode\tbatch8\tlabel_requests\treads_of_weights\n' >"$out"
row() { printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" | tr ' ' '\t' >>"$out"; }
load() { cut -d ' ' -f 1 /proc/loadavg; }

for round in $(seq "${ROUNDS:-5}"); do
    for model in "$@"; do
        name=$(basename "$model" .gguf)
        before=$(load)
        # shellcheck disable=SC2086 # no instructions, no argument
        numbers=$("$tiergate" model bench --model "$model" --threads "$threads" $instructions --repetitions 1 --json |
            jq -r '[.prefill, .decode, .batch8, .label_requests, .memory_gigabytes / .weights_gigabytes] | join(" ")')
        row ours "$name" "$round" "$before" "$numbers"
        before=$(load)
        numbers=$("$reference" "$model" "$threads" 1 | sed -nE 's/.*pp512 ([0-9.]+) tg64 ([0-9.]+) b8 ([0-9.]+) label-req\/s ([0-9.]+).*/\1 \2 \3 \4/p')
        row llama.cpp "$name" "$round" "$before" "$numbers"
    done
done

# The medians of a model's column for an engine.
median() {
    awk -F '\t' -v engine="$1" -v model="$2" -v column="$3" '$1 == engine && $2 == model { print $column }' "$out" |
        sort -g | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}
printf '%-10s %-16s %10s %10s %7s\n' model measurement ours llama.cpp ratio
for model in "$@"; do
    name=$(basename "$model" .gguf)
    column=5
    for measurement in prefill decode batch8 label_requests; do
        ours=$(median ours "$name" $column)
        theirs=$(median llama.cpp "$name" $column)
        ratio=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.2f", a / b }')
        printf '%-10s %-16s %10.2f %10.2f %7s\n' "$name" $measurement "$ours" "$theirs" "$ratio"
        column=$((column + 1))
    done
    awk -F '\t' -v model="$name" '$1 == "ours" && $2 == model { print $6 / $9 }' "$out" | sort -g |
        awk -v model="$name" '{ all[NR] = $1 }
            END { printf "%-10s %-27s %10.2f  of reading the weights\n", model, "decode", all[int((NR + 1) / 2)] }'
done
