//! Generation, with a small model of random weights: its text is nonsense, its rules are not.

use crate::support::gguf::Value;
use crate::support::tiny::{self, Shape};
use llama::{
    Cancel, FinishReason, Generated, GenerationOptions, Model, RequestError, Sampling, Session,
    log_sum_exp,
};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

const PROMPT: [u32; 4] = [72, 101, 257, 9];

fn model() -> Arc<Model> {
    // An own head, or random weights repeat the last token for ever.
    tiny::model(&Shape {
        tied: false,
        seed: 21,
        ..Shape::default()
    })
    .open()
}

fn options() -> GenerationOptions {
    GenerationOptions {
        max_tokens: 24,
        temperature: 1.5,
        seed: 3,
        stop: Vec::new(),
    }
}

/// What was generated, and the pieces in which it came.
fn run(model: &Arc<Model>, options: &GenerationOptions) -> (Generated, Vec<String>) {
    let mut pieces = Vec::new();
    let generated = Session::new(Arc::clone(model))
        .generate(&PROMPT, options, |piece| {
            pieces.push(piece.to_owned());
            ControlFlow::Continue(())
        })
        .unwrap();
    (generated, pieces)
}

#[test]
fn greedy_is_the_most_probable_token_each_time() {
    let model = model();
    let options = GenerationOptions {
        max_tokens: 12,
        ..GenerationOptions::default()
    };
    let (generated, _) = run(&model, &options);
    let mut session = Session::new(Arc::clone(&model));
    session.prefill(&PROMPT).unwrap();
    for (token, log_probability) in generated.tokens.iter().zip(&generated.log_probabilities) {
        let logits = session.logits().unwrap();
        let best = (0..logits.len())
            .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
            .unwrap();
        assert_eq!(*token as usize, best);
        let expected = f64::from(logits[best]) - log_sum_exp(logits);
        assert!((log_probability - expected).abs() < 1e-6);
        session.decode(*token).unwrap();
    }
}

#[test]
fn the_pieces_are_the_text() {
    let (generated, pieces) = run(&model(), &options());
    assert_eq!(pieces.concat(), generated.text);
    assert_eq!(
        generated.text,
        model().tokenizer().decode(&generated.tokens)
    );
    assert_eq!(generated.finish, FinishReason::Length);
    assert_eq!(generated.tokens.len(), 24);
}

#[test]
fn a_seed_gives_its_text_again_and_another_gives_another() {
    let model = model();
    let (first, _) = run(&model, &options());
    assert_eq!(run(&model, &options()).0, first);
    assert_ne!(
        run(
            &model,
            &GenerationOptions {
                seed: 4,
                ..options()
            }
        )
        .0
        .text,
        first.text
    );
}

#[test]
fn tokens_are_as_frequent_as_they_are_probable() {
    let model = model();
    let mut session = Session::new(Arc::clone(&model));
    session.prefill(&PROMPT).unwrap();
    let logits = session.logits().unwrap().to_vec();
    for temperature in [0.5, 1.0] {
        let scaled: Vec<f32> = logits.iter().map(|x| x / temperature as f32).collect();
        let normaliser = log_sum_exp(&scaled);
        let mut counts: HashMap<u32, usize> = HashMap::new();
        let draws = 4000;
        for seed in 0..draws {
            let options = GenerationOptions {
                max_tokens: 1,
                temperature,
                seed,
                stop: Vec::new(),
            };
            let drawn = session
                .generate(&PROMPT, &options, |_| ControlFlow::Continue(()))
                .unwrap();
            *counts.entry(drawn.tokens[0]).or_default() += 1;
        }
        for (token, logit) in scaled.iter().enumerate() {
            let p = (f64::from(*logit) - normaliser).exp();
            let share = *counts.get(&(token as u32)).unwrap_or(&0) as f64 / draws as f64;
            // Five standard deviations, and the seeds are fixed.
            let slack = 5.0 * (p * (1.0 - p) / draws as f64).sqrt() + 1e-9;
            assert!(
                (share - p).abs() < slack.max(2.0 / draws as f64),
                "{token}: {share} for {p}"
            );
        }
    }
}

#[test]
fn a_stop_text_is_cut_off_wherever_it_begins() {
    let model = model();
    let (whole, _) = run(&model, &options());
    let characters: Vec<(usize, char)> = whole.text.char_indices().collect();
    // Every run of three characters, most of which span tokens.
    for window in characters.windows(3) {
        let stop: String = window.iter().map(|(_, c)| c).collect();
        let stops = vec!["never this".to_owned(), stop.clone(), String::new()];
        let (stopped, pieces) = run(
            &model,
            &GenerationOptions {
                stop: stops,
                ..options()
            },
        );
        let at = whole.text.find(&stop).unwrap();
        assert_eq!(stopped.text, whole.text[..at], "{stop:?}");
        assert_eq!(pieces.concat(), stopped.text);
        assert_eq!(stopped.finish, FinishReason::StopText);
    }
}

#[test]
fn what_looks_like_a_stop_text_and_is_not_comes_out() {
    let model = model();
    let (whole, _) = run(&model, &options());
    let stop = format!("{}never", &whole.text);
    let (held, pieces) = run(
        &model,
        &GenerationOptions {
            stop: vec![stop],
            ..options()
        },
    );
    assert_eq!(held.text, whole.text);
    assert_eq!(pieces.concat(), whole.text);
    assert_eq!(held.finish, FinishReason::Length);
}

#[test]
fn the_model_ends_its_answer() {
    let shape = Shape {
        tied: false,
        seed: 21,
        ..Shape::default()
    };
    let (greedy, _) = run(
        &model(),
        &GenerationOptions {
            max_tokens: 6,
            ..Default::default()
        },
    );
    let end = greedy.tokens[5];
    let before = greedy
        .tokens
        .iter()
        .position(|token| *token == end)
        .unwrap();
    for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"] {
        let mut file = tiny::model(&shape);
        file.set(key, Value::U32(end));
        let model = file.open();
        let (ended, _) = run(&model, &GenerationOptions::default());
        assert_eq!(ended.finish, FinishReason::EndOfAnswer);
        assert_eq!(ended.tokens, greedy.tokens[..=before]);
        assert_eq!(
            ended.text,
            model.tokenizer().decode(&ended.tokens[..before])
        );
    }
}

#[test]
fn the_caller_ends_it() {
    let mut pieces = 0;
    let generated = Session::new(model())
        .generate(&PROMPT, &options(), |_| {
            pieces += 1;
            if pieces == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    assert_eq!((pieces, generated.finish), (3, FinishReason::Caller));
}

#[test]
fn the_context_ends_it() {
    let file = tiny::model(&Shape {
        context: 10,
        tied: false,
        ..Shape::default()
    });
    let model = file.open();
    let (generated, _) = run(&model, &options());
    // Four tokens of prompt, six more are read, and what follows them is still predicted.
    assert_eq!(
        (generated.tokens.len(), generated.finish),
        (7, FinishReason::Length)
    );
    let too_long =
        Session::new(model).generate(&[1; 11], &options(), |_| ControlFlow::Continue(()));
    assert_eq!(
        too_long.unwrap_err().to_string(),
        "the prompt needs 11 tokens but tiny has a context of 10; shorten the prompt"
    );
}

#[test]
fn cancelled_from_another_thread() {
    let mut session = Session::new(model());
    let cancel = Cancel::new();
    session.set_cancel(cancel.clone());
    let options = GenerationOptions {
        max_tokens: usize::MAX,
        ..options()
    };
    let result = session.generate(&PROMPT, &options, |_| {
        std::thread::scope(|scope| scope.spawn(|| cancel.set()).join().unwrap());
        ControlFlow::Continue(())
    });
    assert_eq!(result, Err(RequestError::Cancelled));
}

#[test]
fn nothing_to_predict_from() {
    let mut session = Session::new(model());
    assert_eq!(session.logits().unwrap_err(), RequestError::EmptyPrompt);
    session.prefill(&[1, 2, 3]).unwrap();
    session.truncate(2);
    assert_eq!(session.logits().unwrap_err(), RequestError::EmptyPrompt);
    assert_eq!(session.tokens(), [1, 2]);
}

fn run_with(model: &Arc<Model>, rules: &Sampling, temperature: f64, seed: u64) -> Generated {
    let options = GenerationOptions {
        max_tokens: 12,
        temperature,
        seed,
        ..GenerationOptions::default()
    };
    let mut session = Session::new(Arc::clone(model));
    session
        .generate_with(&PROMPT, (&options, rules), |_| ControlFlow::Continue(()))
        .unwrap()
}

#[test]
fn rules_that_leave_one_token_are_greedy() {
    let model = tiny::model(&Shape::default()).open();
    let greedy = run_with(&model, &Sampling::default(), 0.0, 0);
    let rules = [
        Sampling {
            top_k: 1,
            ..Sampling::default()
        },
        Sampling {
            top_p: 0.0,
            ..Sampling::default()
        },
        Sampling {
            min_p: 1.0,
            ..Sampling::default()
        },
    ];
    for rules in rules {
        for seed in 0..5 {
            assert_eq!(
                run_with(&model, &rules, 1.5, seed).tokens,
                greedy.tokens,
                "{rules:?}"
            );
        }
    }
}

/// The tokens that come first, from 3,000 seeds.
fn first_tokens(model: &Arc<Model>, rules: &Sampling) -> Vec<u32> {
    let mut session = Session::new(Arc::clone(model));
    let mut found: Vec<u32> = (0..3000)
        .map(|seed| {
            let options = GenerationOptions {
                max_tokens: 1,
                temperature: 1.0,
                seed,
                ..GenerationOptions::default()
            };
            let on_text = |_: &str| ControlFlow::Continue(());
            let generated = session.generate_with(&PROMPT, (&options, rules), on_text);
            generated.unwrap().tokens[0]
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn rules_keep_the_tokens_that_they_name() {
    let model = tiny::model(&Shape::default()).open();
    let mut session = Session::new(Arc::clone(&model));
    session.prefill(&PROMPT).unwrap();
    let logits = session.logits().unwrap().to_vec();
    let normaliser = log_sum_exp(&logits);
    let probability = |logit: &f32| (f64::from(*logit) - normaliser).exp();
    let mut probable: Vec<(u32, f64)> = (0..).zip(logits.iter().map(probability)).collect();
    probable.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut sum = 0.0;
    let below = |(_, p): &&(u32, f64)| {
        sum += p;
        sum < 0.6
    };
    let nucleus = 1 + probable.iter().take_while(below).count();
    let strong = probable
        .iter()
        .filter(|(_, p)| *p >= 0.3 * probable[0].1)
        .count();
    let check = |rules: Sampling, count: usize| {
        let expected: Vec<u32> = probable[..count].iter().map(|(token, _)| *token).collect();
        let found = first_tokens(&model, &rules);
        assert!(
            found.iter().all(|token| expected.contains(token)),
            "{rules:?}"
        );
        // Rare ones may not have come up; most must have.
        assert!(found.len() * 2 > expected.len(), "{rules:?}");
    };
    let none = Sampling::default;
    let rules = [
        (Sampling { top_k: 5, ..none() }, 5),
        (
            Sampling {
                top_p: 0.6,
                ..none()
            },
            nucleus,
        ),
        (
            Sampling {
                min_p: 0.3,
                ..none()
            },
            strong,
        ),
    ];
    rules
        .into_iter()
        .for_each(|(rules, count)| check(rules, count));
    let best = probable[0].0;
    let forbidden = Sampling {
        logit_bias: vec![(best, f32::NEG_INFINITY)],
        ..Sampling::default()
    };
    assert_eq!(
        run_with(&model, &forbidden, 0.0, 0).tokens[0],
        probable[1].0
    );
}

#[test]
fn penalties_keep_a_token_from_coming_again() {
    let model = tiny::model(&Shape::default()).open();
    for rules in [
        Sampling {
            presence_penalty: 1000.0,
            ..Sampling::default()
        },
        Sampling {
            frequency_penalty: 1000.0,
            ..Sampling::default()
        },
        Sampling {
            repetition_penalty: 1e6,
            ..Sampling::default()
        },
    ] {
        let mut tokens = run_with(&model, &rules, 0.0, 0).tokens;
        let count = tokens.len();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), count, "{rules:?}");
    }
}

#[test]
fn alternatives_are_the_most_probable_tokens() {
    let model = tiny::model(&Shape::default()).open();
    let rules = Sampling {
        alternatives: 4,
        ..Sampling::default()
    };
    let generated = run_with(&model, &rules, 0.0, 0);
    assert_eq!(generated.alternatives.len(), generated.tokens.len());
    for (i, alternatives) in generated.alternatives.iter().enumerate() {
        assert_eq!(alternatives.len(), 4);
        assert_eq!(
            alternatives[0],
            (generated.tokens[i], generated.log_probabilities[i])
        );
        assert!(alternatives.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    }
}
