//! Label scores against sums of log-probabilities from the double-precision forward pass.

use crate::support::reference::Reference;
use crate::support::tiny::{self, Random, Shape};
use llama::{Cancel, ChatMessage, LabelScorer, RequestError, Role, SpecialTokens, probabilities};

/// The end-of-turn token of the small vocabulary.
fn end_of_turn() -> u32 {
    tiny::VOCABULARY as u32 - 2
}

/// ln p(label | prompt).
fn expected(reference: &Reference, prompt: &[u32], label: &[u32]) -> f64 {
    let tokens = [prompt, label].concat();
    let logits = reference.logits(&tokens[..tokens.len() - 1]);
    let rows: Vec<&[f64]> = logits.chunks(tiny::VOCABULARY).collect();
    let of_token = |(i, token): (usize, &u32)| {
        let row = rows[prompt.len() - 1 + i];
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        row[*token as usize] - sum.ln()
    };
    label.iter().enumerate().map(of_token).sum()
}

fn check(labels: &[Vec<u32>], counted: &[Vec<u32>]) {
    let shape = Shape::default();
    let file = tiny::model(&shape);
    let reference = Reference::new(&file, &shape);
    let prompt = Random(5).tokens(40, 256);
    let scores = LabelScorer::new(file.open())
        .score(&prompt, labels)
        .unwrap();
    assert_eq!(scores.prompt_tokens, 40);
    for (found, label) in scores.log_probabilities.iter().zip(counted) {
        let expected = expected(&reference, &prompt, label);
        assert!(
            (found - expected).abs() < 1e-4,
            "{label:?}: {found} instead of {expected}"
        );
    }
}

#[test]
fn labels_of_one_token() {
    let labels = [vec![1], vec![200], vec![30]];
    check(&labels, &labels);
}

#[test]
fn labels_that_share_beginnings() {
    let labels = [
        vec![1, 2, 3, 4],
        vec![1, 2, 3, 5],
        vec![1, 2, 6],
        vec![7],
        vec![1, 8, 3, 4],
        vec![9, 2, 3, 4, 10],
    ];
    check(&labels, &labels);
}

#[test]
fn a_label_that_begins_another_is_told_apart_by_its_end() {
    let labels = [vec![1, 2], vec![1, 2, 3], vec![4]];
    let ended: Vec<Vec<u32>> = labels
        .iter()
        .map(|label| [label.as_slice(), &[end_of_turn()]].concat())
        .collect();
    check(&labels, &ended);
}

#[test]
fn probabilities_of_everything_sum_to_one() {
    let every: Vec<Vec<u32>> = (0..tiny::VOCABULARY as u32)
        .map(|token| vec![token])
        .collect();
    let model = tiny::model(&Shape::default()).open();
    let scores = LabelScorer::new(model).score(&[1, 2, 3], &every).unwrap();
    let sum: f64 = scores.log_probabilities.iter().map(|l| l.exp()).sum();
    // The normaliser is within 1e-6.
    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    let (first, second) = (
        probabilities(&scores.log_probabilities)[7],
        scores.log_probabilities[7].exp(),
    );
    assert!((first - second).abs() < 1e-6);
}

#[test]
fn the_shared_prompt_is_read_once() {
    let mut scorer = LabelScorer::new(tiny::model(&Shape::default()).open());
    let say = |text: &str| {
        [
            ChatMessage::new(Role::System, "Up or down?"),
            ChatMessage::new(Role::User, text),
        ]
    };
    let first = scorer
        .score_chat(&say("gold rises"), &["up", "down"])
        .unwrap();
    assert_eq!(first.cached_tokens, 0);
    let second = scorer
        .score_chat(&say("silver falls"), &["up", "down"])
        .unwrap();
    assert!(second.cached_tokens > second.prompt_tokens / 3);
    let again = scorer
        .score_chat(&say("silver falls"), &["up", "down"])
        .unwrap();
    assert_eq!(again.cached_tokens, again.prompt_tokens);
    assert_eq!(again.log_probabilities, second.log_probabilities);
}

#[test]
fn a_chat_is_its_template_then_the_label() {
    let model = tiny::model(&Shape::default()).open();
    let text = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhello\
                <|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n";
    let prompt = model.tokenizer().encode(text, SpecialTokens::Parse);
    let label = |text| model.tokenizer().encode(text, SpecialTokens::Plain);
    let expected = LabelScorer::new(model.clone())
        .score(&prompt, &[label("up"), label("none")])
        .unwrap();
    let messages = [ChatMessage::new(Role::User, "hello")];
    let found = LabelScorer::new(model.clone())
        .score_chat(&messages, &["up", "none"])
        .unwrap();
    assert_eq!(found, expected);
}

#[test]
fn requests_that_cannot_be_scored() {
    let shape = Shape {
        context: 20,
        ..Shape::default()
    };
    let mut scorer = LabelScorer::new(tiny::model(&shape).open());
    let mut refused =
        |prompt: &[u32], labels: &[Vec<u32>]| scorer.score(prompt, labels).unwrap_err();
    assert_eq!(refused(&[], &[vec![1]]), RequestError::EmptyPrompt);
    assert!(matches!(refused(&[1], &[]), RequestError::Labels(_)));
    assert!(matches!(refused(&[1], &[vec![]]), RequestError::Labels(_)));
    assert!(matches!(
        refused(&[1], &[vec![2], vec![2]]),
        RequestError::Labels(_)
    ));
    let unknown = RequestError::UnknownToken {
        model: "tiny".into(),
        token: 9999,
        vocabulary: tiny::VOCABULARY,
    };
    assert_eq!(refused(&[9999], &[vec![1]]), unknown);
    assert_eq!(refused(&[1], &[vec![9999]]), unknown);
    assert_eq!(refused(&[1], &[vec![1, 9999, 1]]), unknown);
    // 20 tokens fit: the last of a label is predicted and not read.
    assert!(matches!(
        refused(&[1; 20], &[vec![1, 2]]),
        RequestError::ContextExceeded {
            needed_tokens: 21,
            context_tokens: 20,
            ..
        }
    ));
    assert!(scorer.score(&[1; 20], &[vec![1], vec![2]]).is_ok());
    assert!(scorer.score(&[1; 19], &[vec![1, 2], vec![2, 3]]).is_ok());
}

#[test]
fn a_cancelled_score_ends_and_the_next_one_is_right() {
    let mut scorer = LabelScorer::new(tiny::model(&Shape::default()).open());
    let labels = [vec![1, 2], vec![3]];
    let expected = scorer.score(&[1, 2, 3], &labels).unwrap().log_probabilities;
    let cancel = Cancel::new();
    cancel.set();
    scorer.set_cancel(cancel);
    assert_eq!(
        scorer.score(&[1, 9, 9], &labels),
        Err(RequestError::Cancelled)
    );
    scorer.set_cancel(Cancel::new());
    assert_eq!(
        scorer.score(&[1, 2, 3], &labels).unwrap().log_probabilities,
        expected
    );
}
