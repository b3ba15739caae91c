//! A request's answer is the same to the bit, whatever else there is.

use super::*;
use crate::support::gguf::Stored;
use crate::support::tiny::bits;
use llama::{Event, LabelScorer, Pooling, RequestError, Session};
use proptest::prelude::*;
use std::ops::ControlFlow;
use std::sync::LazyLock;

/// Half-precision keys and values in one, single in the other.
static MODELS: LazyLock<[Arc<Model>; 2]> = LazyLock::new(|| {
    let shape = |stored| Shape {
        context: 400,
        tied: false,
        stored,
        ..Shape::default()
    };
    [Stored::Q8_0, Stored::F32].map(|stored| tiny::model(&shape(stored)).open())
});

/// What is asked, in few words.
#[derive(Clone, Debug)]
struct Ask {
    tenant: u8,
    /// Prompts of one seed begin alike.
    seed: u64,
    shared: usize,
    own: usize,
    kind: Kind,
    /// Whether it is withdrawn at once.
    dropped: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Score(usize),
    Write {
        tokens: usize,
        temperature: f64,
        streams: bool,
    },
    Embed(Pooling),
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (1usize..8).prop_map(Kind::Score),
        (0usize..40, prop_oneof![Just(0.0), Just(0.8)], any::<bool>()).prop_map(
            |(tokens, temperature, streams)| Kind::Write {
                tokens,
                temperature,
                streams
            }
        ),
        prop_oneof![Just(Pooling::Mean), Just(Pooling::Last)].prop_map(Kind::Embed),
    ]
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let ask = (
        0u8..3,
        0u64..3,
        0usize..120,
        1usize..60,
        kinds(),
        prop::bool::weighted(0.1),
    );
    let ask = ask.prop_map(|(tenant, seed, shared, own, kind, dropped)| Ask {
        tenant,
        seed,
        shared,
        own,
        kind,
        dropped,
    });
    prop::collection::vec(ask, 1..14)
}

impl Ask {
    fn prompt(&self) -> Vec<u32> {
        let own = self.seed * 1000 + self.own as u64;
        [prompt(self.seed, self.shared), prompt(own, self.own)].concat()
    }

    fn labels(count: usize) -> Vec<Vec<u32>> {
        // From a small alphabet, so that labels share tokens; ended, so that none begins another.
        let label = |i: usize| [Random(i as u64).tokens(i % 5, 2), vec![100 + i as u32]].concat();
        (0..count).map(label).collect()
    }

    fn options(&self) -> (GenerationOptions, Sampling) {
        let Kind::Write {
            tokens,
            temperature,
            ..
        } = self.kind
        else {
            return Default::default();
        };
        let options = GenerationOptions {
            max_tokens: tokens,
            temperature,
            seed: self.seed,
            stop: vec!["he".into()],
        };
        let rules = Sampling {
            top_p: 0.9,
            repetition_penalty: 1.1,
            alternatives: 2,
            ..Sampling::default()
        };
        (options, rules)
    }

    fn request(&self) -> Request {
        let (options, rules) = self.options();
        let prompt = self.prompt();
        let work = match self.kind {
            Kind::Score(count) => Work::Score {
                prompt,
                labels: Self::labels(count),
            },
            Kind::Write { streams, .. } => Work::Write {
                prompt,
                options,
                rules,
                streams,
            },
            Kind::Embed(pooling) => Work::Embed {
                tokens: prompt,
                pooling,
            },
        };
        request(&self.tenant.to_string(), work)
    }

    /// The answer of a session that knows nothing else.
    fn alone(&self, model: &Arc<Model>) -> Outcome {
        let mut session = Session::new(Arc::clone(model));
        match self.kind {
            Kind::Score(count) => {
                let mut scorer = LabelScorer::new(Arc::clone(model));
                let scores = scorer.score(&self.prompt(), &Self::labels(count)).unwrap();
                Outcome::Scored(scores.log_probabilities)
            }
            Kind::Write { .. } => {
                let (options, rules) = self.options();
                let written = session.generate_with(&self.prompt(), (&options, &rules), |_| {
                    ControlFlow::Continue(())
                });
                Outcome::Written(written.unwrap())
            }
            Kind::Embed(pooling) => {
                Outcome::Embedded(session.embed(&self.prompt(), pooling).unwrap())
            }
        }
    }
}

/// Equal to the bit, as `==` on floats is not.
fn exact(outcome: &Outcome) -> (Vec<u64>, String) {
    match outcome {
        Outcome::Scored(scores) => (scores.iter().map(|x| x.to_bits()).collect(), String::new()),
        Outcome::Embedded(vector) => (
            bits(vector).into_iter().map(u64::from).collect(),
            String::new(),
        ),
        Outcome::Written(written) => {
            let numbers = written.log_probabilities.iter().map(|x| x.to_bits());
            let tokens = written.tokens.iter().map(|token| u64::from(*token));
            (
                numbers.chain(tokens).collect(),
                format!(
                    "{:?} {:?} {:?}",
                    written.text, written.finish, written.alternatives
                ),
            )
        }
    }
}

/// Reads an answer; the pieces of a streamed text are the text.
fn read(mut answer: Answer, streams: bool) -> Result<Outcome, RequestError> {
    let (mut pieces, mut log_probabilities) = (String::new(), Vec::new());
    loop {
        match answer.next_event() {
            Event::Text(piece) => {
                assert!(!piece.text.is_empty());
                pieces.push_str(&piece.text);
                let tokens = piece.tokens.iter();
                log_probabilities.extend(tokens.map(|token| token.log_probability));
            }
            Event::End(end) => {
                let outcome = end?.outcome;
                if streams {
                    assert_eq!(pieces, text(&outcome));
                    // The pieces tell each token's log-probability once, but for the last ones,
                    // after which no more text came.
                    let Outcome::Written(written) = &outcome else {
                        unreachable!("only texts are streamed")
                    };
                    assert!(written.log_probabilities.starts_with(&log_probabilities));
                    assert!(pieces.is_empty() || !log_probabilities.is_empty());
                }
                return Ok(outcome);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn whatever_else_is_in_the_batch(
        asks in asks(),
        threads in 1usize..3,
        step_tokens in 1usize..150,
        running_max in 1usize..10,
        // From hardly enough for one to enough for all.
        pages in prop_oneof![30u64..60, 60u64..400],
        // Each thread with a batch of its own, or all with one.
        small_model_bytes in prop_oneof![Just(0), Just(u64::MAX)],
    ) {
        for model in MODELS.iter() {
            let options = EngineOptions {
                threads: some(threads),
                queue_max: 100,
                running_max: some(running_max),
                step_tokens: some(step_tokens),
                kv_bytes: pages * 16 * model.memory().position_bytes,
                small_model_bytes,
            };
            let engine = Engine::start(Arc::clone(model), options).unwrap();
            // Twice, so that the second time finds what the first left.
            for _ in 0..2 {
                let answers: Vec<Option<Answer>> = asks
                    .iter()
                    .map(|ask| Some(engine.ask(ask.request()).unwrap()).filter(|_| !ask.dropped))
                    .collect();
                for (ask, answer) in asks.iter().zip(answers) {
                    let Some(answer) = answer else { continue };
                    let streams = matches!(ask.kind, Kind::Write { streams: true, .. });
                    let got = read(answer, streams).unwrap();
                    prop_assert_eq!(exact(&got), exact(&ask.alone(model)), "{:?}", ask);
                }
            }
            prop_assert!(engine.stats().kv_bytes <= options.kv_bytes);
        }
    }
}
