#!/bin/sh
# Certificates on every set and pair of a folder of records: one JSON object a line.
# usage: bench/certificates.sh DATA_FOLDER > bench/runs/DATE/certificates.jsonl
# TIERGATE names the program; ALPHAS, N and DRAWS may be set.
set -eu
data=$1
tiergate=${TIERGATE:-target/release/tiergate}

# The models of a file's first record, except the reference.
models() {
    zcat "$1" | head -n 1 | grep -o '"[A-Za-z0-9.-]*": {"\(answer\|logits\)"' | cut -d '"' -f 2 | grep -vx "$2"
}

certify() {
    for alpha in ${ALPHAS:-0.02 0.05}; do
        "$tiergate" eval certificate --records "$1" --local "$2" --reference "$3" --alpha "$alpha" \
            --delta 0.05 --n "${N:-2000}" --draws "${DRAWS:-1000}" --json |
            tr -d '\n' | sed "s|^{|{\"set\": \"$(basename "$1" .jsonl.gz)\", \"local\": \"$2\", \"reference\": \"$3\",|"
        echo
    done
}

for file in "$data"/logits-*.jsonl.gz "$data"/services-*.jsonl.gz "$data"/llama3-*.jsonl.gz "$data"/fpb-open.jsonl.gz; do
    case $(basename "$file") in
        logits-*) references=Yi-34B ;;
        services-*) references='Model0 Model3 Model4 Model100' ;;
        llama3-*) references='gpt-4o llama3.1-405b' ;;
        *) references='gpt-4 gold' ;;
    esac
    for reference in $references; do
        for model in $(models "$file" "$reference"); do
            certify "$file" "$model" "$reference"
        done
    done
done
