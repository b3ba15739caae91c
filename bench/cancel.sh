#!/usr/bin/env bash
# Measures how soon a vendor stops when a client hangs up in the midst of a stream: from the client's
# close to the moment when the stand-in sees its own connection closed, asked directly and through
# tiergate with its ledger and its policy. The middle and the longest of 50, in microseconds.
#
#     bench/cancel.sh [TIMES] > bench/runs/DATE/cancel.jsonl
#
# PROFILE=debug tries the script out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

times=${1:-50}
source bench/serving.sh

# Starts a tiergate before a vendor; its address is in `address`.
start_tiergate() {
    cat >"$work/tiergate.toml" <<TOML
[prices.vendor]
input = "0.25"
output = "2.00"
[tiers.vendor]
kind = "frontier"
url = "http://$1/v1"
model = "standin-1"
price = "vendor"
[tasks.chat]
kind = "chat"
sensitivity = "public"
tiers = ["vendor"]
TOML
    (cd "$work" && TIERGATE_LOG=error exec "$bin/tiergate" serve --listen 127.0.0.1:0 >"$work/said") &
    middle=$!
    started+=("$middle")
    address=$(first_line "$work/said")
    address=${address#listening on http://}
    answers GET /readyz
}

for way in direct tiergate; do
    mkfifo "$work/way-$way"
    "$bin/hangups" --times "$times" <"$work/way-$way" >"$work/$way" &
    measuring=$!
    started+=("$measuring")
    exec 4>"$work/way-$way"
    address=$(first_line "$work/$way")
    model=standin-1
    if [ "$way" = tiergate ]; then
        start_tiergate "$address"
        model=task:chat
    fi
    echo "$address $model" >&4
    exec 4>&-
    wait "$measuring"
    printf '{"way":"%s","figures":%s}\n' "$way" "$(tail -n 1 "$work/$way")"
done
