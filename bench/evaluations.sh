#!/bin/sh
# Every figure of the evaluation commands but the certificates (see certificates.sh), as JSON.
# usage: bench/evaluations.sh DATA_FOLDER OUT_FOLDER; TIERGATE names the program.
set -eu
data=$1
out=$2
tiergate=${TIERGATE:-target/release/tiergate}
keep() {
    name=$1
    shift
    "$tiergate" eval "$@" --json > "$out/$name.json"
}
mmlu="--train $data/llama3-mmlu-train.jsonl.gz --test $data/llama3-mmlu-test.jsonl.gz --frontier gpt-4o"
fpb="--train $data/fpb-train.jsonl.gz --test $data/fpb-open.jsonl.gz --frontier gpt-4 --tiers student,llama-2-13b-fp16"

keep student-headlines student --data "$data/headlines-train.jsonl.gz" --folds 5
keep student-headlines-1000 student --data "$data/headlines-train.jsonl.gz" --folds 5 --labels-max 1000
keep student-banking77 student --train "$data/banking77-train.jsonl.gz" --test "$data/banking77-dev.jsonl.gz"
for seed in 1 2 3; do
    # Unquoted on purpose: each holds several arguments.
    keep "cascade-fpb-$seed" cascade $fpb --calls-max 0.2 --seed $seed
    keep "cascade-mmlu-70b-$seed" cascade $mmlu --tiers llama3.1-70b --seed $seed
done
for model in llama3.2-1b llama3.2-3b llama3.1-8b; do
    keep "cascade-mmlu-$model" cascade $mmlu --tiers $model
done
keep cascade-mmlu-all cascade $mmlu --tiers llama3.2-1b,llama3.2-3b,llama3.1-8b,llama3.1-70b --in-turn
keep online-hatespeech online --records "$data/hatespeech.jsonl.gz" --teacher gpt-3.5 --flag hate
keep router-mmlu router --records "$data/routellm-mmlu.jsonl.gz" --weak mixtral-8x7b --strong gpt-4-1106
keep monitor monitor
