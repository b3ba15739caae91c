//! When a streamed answer may be shown.

use super::rules::check;

#[test]
fn a_stream_is_decided_early_only_where_that_can_be_proven() {
    check(
        "tiers = [\"pool\"]",
        "tiers = [\"pool\"]\nstream = \"early\"",
        "tasks.talk.stream: nothing is shown early without a certificate; add a target with a \
         confidence, for example target = { max_error = 0.02, confidence = 0.95 }",
    );
    check(
        "target = { max_error = 0.03 }",
        "target = { max_error = 0.03 }\nstream = \"early\"",
        "tasks.flag.stream: a task of kind flag answers with a label, which is shown when it is \
         known; leave it out",
    );
    check(
        "tiers = [\"pool\"]",
        "tiers = [\"pool\"]\nstream = \"erly\"",
        "tasks.talk.stream: \"erly\" is none of whole, early; did you mean `early`?; it is \
         when a streamed answer that might be passed on is shown, for example \"early\"",
    );
}
