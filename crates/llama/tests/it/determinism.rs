//! The same input gives the same bits: however it is cut, whatever is computed beside it, with any
//! instructions, on any number of threads.

use crate::support::blocks::Quantised;
use crate::support::gguf::Stored;
use crate::support::tiny::{self, Random, Shape, bits};
use llama::{Instructions, LabelScorer, Model, Session};
use proptest::prelude::*;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

/// Odd sizes, so that no tile or vector is whole, and longer than a block of prefill.
fn shape(stored: Stored) -> Shape {
    let shape = Shape {
        stored,
        rope_freqs: true,
        tied: false,
        seed: 11,
        ..Shape::default()
    };
    match stored {
        Stored::Q8_0 => shape,
        Stored::Blocks(_) => Shape {
            dim: 256,
            hidden_dim: 512,
            head_dim: 64,
            value_dim: 64,
            rope_dim: 64,
            ..shape
        },
        _ => Shape {
            dim: 52,
            hidden_dim: 70,
            head_dim: 14,
            value_dim: 21,
            rope_dim: 14,
            ..shape
        },
    }
}

const STORED: [Stored; 5] = [
    Stored::F32,
    Stored::F16,
    Stored::Q8_0,
    Stored::Blocks(Quantised::Q4K),
    Stored::Blocks(Quantised::Q6K),
];

static MODELS: LazyLock<Vec<Arc<Model>>> = LazyLock::new(|| {
    STORED
        .into_iter()
        .map(|stored| tiny::model(&shape(stored)).open())
        .collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn however_prefill_is_cut(
        seed in any::<u64>(),
        length in 1usize..300,
        cuts in proptest::collection::vec(0usize..300, 0..6),
    ) {
        for model in MODELS.iter() {
            let tokens = Random(seed).tokens(length, model.config().vocabulary);
            let mut whole = Session::new(Arc::clone(model));
            whole.prefill(&tokens).unwrap();
            let mut pieces = Session::new(Arc::clone(model));
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % length).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for to in cuts.into_iter().chain([length]) {
                pieces.prefill(&tokens[from..to]).unwrap();
                from = to;
            }
            prop_assert_eq!(bits(whole.logits().unwrap()), bits(pieces.logits().unwrap()));
        }
    }

    #[test]
    fn whatever_was_read_before(
        seed in any::<u64>(),
        shared in 0usize..150,
        old in 1usize..60,
        new in 1usize..60,
    ) {
        for model in MODELS.iter() {
            let mut random = Random(seed);
            let mut tokens = |count| random.tokens(count, model.config().vocabulary);
            let (shared, old, new) = (tokens(shared), tokens(old), tokens(new));
            let mut session = Session::new(Arc::clone(model));
            session.prefill(&[shared.clone(), old].concat()).unwrap();
            let prompt = [shared.clone(), new.clone()].concat();
            let mut forked = session.fork();
            let kept = session.continue_from(&prompt).unwrap();
            prop_assert!(kept >= shared.len().min(prompt.len() - 1));
            forked.truncate(shared.len());
            forked.prefill(&new).unwrap();
            let mut fresh = Session::new(Arc::clone(model));
            fresh.prefill(&prompt).unwrap();
            let expected = bits(fresh.logits().unwrap());
            prop_assert_eq!(&bits(session.logits().unwrap()), &expected);
            prop_assert_eq!(&bits(forked.logits().unwrap()), &expected);
        }
    }

    #[test]
    fn whatever_labels_are_scored_beside(seed in any::<u64>(), length in 1usize..80) {
        for model in MODELS.iter() {
            let mut random = Random(seed);
            let prompt = random.tokens(length, 200);
            let labels: Vec<Vec<u32>> = (0..6)
                .map(|i| {
                    let length = random.below(4);
                    // From a small alphabet, so that labels share tokens; ended, so that none
                    // begins another.
                    let mut label = random.tokens(length, 3);
                    label.push(100 + i);
                    label
                })
                .collect();
            let mut scorer = LabelScorer::new(Arc::clone(model));
            let together = scorer.score(&prompt, &labels).unwrap().log_probabilities;
            for (label, expected) in labels.iter().zip(together) {
                let mut fresh = LabelScorer::new(Arc::clone(model));
                let alone = fresh.score(&prompt, std::slice::from_ref(label)).unwrap();
                prop_assert_eq!(alone.log_probabilities[0].to_bits(), expected.to_bits());
            }
        }
    }
}

#[test]
fn a_fork_leaves_its_origin_alone() {
    for model in MODELS.iter() {
        let mut origin = Session::new(Arc::clone(model));
        origin.prefill(&[5, 6, 7]).unwrap();
        let mut fork = origin.fork();
        fork.prefill(&[8; 30]).unwrap();
        let mut alone = Session::new(Arc::clone(model));
        alone.prefill(&[5, 6, 7]).unwrap();
        assert_eq!(
            bits(origin.decode(9).unwrap()),
            bits(alone.decode(9).unwrap())
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn whatever_is_decoded_beside(seed in any::<u64>(), count in 2usize..15) {
        for model in MODELS.iter() {
            let mut random = Random(seed);
            let mut tokens = |count| random.tokens(count, model.config().vocabulary);
            let mut sessions: Vec<Session> = (0..count)
                .map(|i| {
                    let mut session = Session::new(Arc::clone(model));
                    session.prefill(&tokens(1 + i * 7 % 40)).unwrap();
                    session
                })
                .collect();
            let mut alone: Vec<Session> = sessions.iter().map(Session::fork).collect();
            for _ in 0..3 {
                let next = tokens(count);
                let mut together: Vec<&mut Session> = sessions.iter_mut().collect();
                Session::decode_together(&mut together, &next).unwrap();
                for ((session, alone), token) in sessions.iter_mut().zip(&mut alone).zip(next) {
                    prop_assert_eq!(session.tokens().last(), Some(&token));
                    prop_assert_eq!(bits(session.logits().unwrap()), bits(alone.decode(token).unwrap()));
                }
            }
        }
    }
}

#[test]
fn with_any_instructions() {
    for stored in STORED {
        let bytes = tiny::model(&shape(stored)).bytes();
        let tokens = Random(3).tokens(150, tiny::VOCABULARY);
        let logits = |instructions| {
            let model = Model::from_bytes("tiny", &bytes).unwrap();
            bits(
                &Arc::new(model.with_instructions(instructions))
                    .logits(&tokens)
                    .unwrap(),
            )
        };
        let expected = logits(Instructions::portable());
        for instructions in Instructions::available() {
            assert!(
                logits(instructions) == expected,
                "{} differs",
                instructions.name()
            );
        }
    }
}

#[test]
fn on_any_number_of_threads() {
    // Large enough that the work is worth dividing.
    let shape = Shape {
        dim: 256,
        hidden_dim: 608,
        n_heads: 8,
        n_kv_heads: 2,
        head_dim: 32,
        value_dim: 32,
        rope_dim: 32,
        stored: Stored::Q8_0,
        ..Shape::default()
    };
    let model = tiny::model(&shape).open();
    let tokens = Random(4).tokens(140, shape.vocabulary);
    let logits = |threads| {
        let threads = NonZeroUsize::new(threads).unwrap();
        let mut session = Session::new(Arc::clone(&model)).with_threads(threads);
        bits(&session.prefill_with_logits(&tokens).unwrap())
    };
    let expected = logits(1);
    for threads in [2, 3, 5] {
        assert!(logits(threads) == expected, "{threads} threads differ");
    }
}
