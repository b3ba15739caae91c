#!/usr/bin/env bash
# The demo, ROUNDS (3) times, and the example over real headlines where their records are beside the
# checkout: what README and notes quote. Build first: cargo build --release.
# usage: bench/demo.sh OUT_FOLDER
set -euo pipefail
out=$(realpath "$1")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tiergate=$(realpath "${TIERGATE:-$root/target/release/tiergate}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$work"
for round in $(seq "${ROUNDS:-3}"); do
    "$tiergate" demo >"$out/demo-$round.txt" 2>/dev/null
done

records=$root/../shared/data/headlines-train.jsonl.gz
if [ ! -e "$records" ]; then
    echo "skipped: no headlines at $records"
    exit
fi
# The examples' data folders would stay in the checkout.
mkdir -p "$work/main/examples"
cp "$root"/examples/headlines*.toml "$work/main/examples"
ln -s "$root/../shared" "$work/shared"
headlines() {
    "$tiergate" run headlines "$records" --rows 4000.. -o "$work/$1.jsonl" --json \
        --config "$work/main/examples/$1.toml" "${@:2}" | sed "s#$work/##" >"$out/$1.json"
}
headlines headlines
headlines headlines-frontier --simulate-frontier 0.07
