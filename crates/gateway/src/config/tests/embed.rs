//! Tasks whose answers are vectors.

use super::rules::faults;

fn with(task: &str) -> Vec<String> {
    faults(&format!(
        "[tiers.llama]\nkind = \"local\"\nmodel = \"starter\"\n[tiers.student]\n\
         kind = \"student\"\n[tiers.reviewer]\nkind = \"person\"\n[tasks.index]\n\
         kind = \"embed\"\n{task}\n"
    ))
}

#[test]
fn such_a_task_has_one_tier_that_makes_vectors_and_nothing_to_say_to_it() {
    assert_eq!(with("tiers = [\"llama\"]"), Vec::<String>::new());
    let of_no_use = "a task of kind embed gives its texts to its tier as they are, and takes the \
                     vectors that come; leave it out";
    assert_eq!(
        with("tiers = [\"llama\"]\nprompt = \"Embed.\"\nthreshold = 0.5"),
        [
            format!("tasks.index.prompt: {of_no_use}"),
            format!("tasks.index.threshold: {of_no_use}"),
        ]
    );
    assert_eq!(
        with(
            "tiers = [\"llama\", \"other\"]\n[tiers.other]\nkind = \"local\"\nmodel = \"starter\""
        ),
        [
            "tasks.index.tiers: vectors of different models can't be compared; give a task of kind \
          embed one tier"
        ]
    );
    assert_eq!(
        with("tiers = [\"reviewer\"]"),
        ["tasks.index.tiers[0]: \"reviewer\" is a person, who makes no vectors; leave it out"]
    );
    let claude = "tiers = [\"claude\"]\n[tiers.claude]\nkind = \"pool\"\nmodel = \"m\"\n\
                  url = \"https://a/v1\"\nprotocol = \"anthropic\"";
    assert_eq!(
        with(claude),
        [
            "tasks.index.tiers[0]: \"claude\" speaks the protocol anthropic, which has no embeddings; \
          give a tier of kind local, or of the protocol openai, openai-responses or google"
        ]
    );
    assert_eq!(
        with(&claude.replace("anthropic", "google")),
        Vec::<String>::new()
    );
    let [student] = &with("tiers = [\"student\"]")[..] else {
        panic!("a student has one fault");
    };
    assert!(
        student.contains("a student only learns labels"),
        "{student}"
    );
}
