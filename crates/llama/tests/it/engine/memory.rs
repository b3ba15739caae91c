//! Keys and values: whose they are, and what happens when there is no room for more.

use super::*;
use llama::{Refused, RequestError, Session};

/// A shape's page: 16 positions.
fn page_bytes(model: &Model) -> u64 {
    model.memory().position_bytes * 16
}

#[test]
fn tenants_never_share() {
    let model = model();
    let engine = Engine::start(Arc::clone(&model), options(&model)).unwrap();
    let ask = |tenant: &str| {
        let work = one_token(prompt(1, 208));
        cached(engine.ask(request(tenant, work)).unwrap())
    };
    assert_eq!(ask("a"), 0);
    assert_eq!(ask("b"), 0);
    // All but the last token, whose successor is wanted.
    assert_eq!(ask("a"), 207);
    assert_eq!(ask("b"), 207);
    assert_eq!(ask("c"), 0);
}

#[test]
fn what_was_written_is_there_for_the_next_turn() {
    let model = model();
    let engine = Engine::start(Arc::clone(&model), options(&model)).unwrap();
    let work = |prompt| Work::Write {
        prompt,
        options: GenerationOptions {
            max_tokens: 50,
            ..GenerationOptions::default()
        },
        rules: Sampling {
            // So that it does not end by itself.
            logit_bias: (276..282).map(|token| (token, -1000.0)).collect(),
            ..Sampling::default()
        },
        streams: false,
    };
    let first = engine.ask(request("a", work(prompt(1, 100)))).unwrap();
    let Outcome::Written(written) = first.wait().unwrap().outcome else {
        panic!("it writes");
    };
    let next = [prompt(1, 100), written.tokens, prompt(2, 30)].concat();
    assert!(cached(engine.ask(request("a", work(next))).unwrap()) >= 144);
}

#[test]
fn the_least_recently_used_goes_first() {
    let model = model();
    let kv_bytes = 40 * page_bytes(&model);
    let options = EngineOptions {
        kv_bytes,
        ..options(&model)
    };
    let engine = Engine::start(Arc::clone(&model), options).unwrap();
    let ask = |seed| {
        // Ten pages each.
        let answer = engine
            .ask(request("a", one_token(prompt(seed, 160))))
            .unwrap();
        let cached = cached(answer);
        assert!(engine.stats().kv_bytes <= kv_bytes);
        cached
    };
    for seed in 0..3 {
        assert_eq!(ask(seed), 0);
    }
    assert_eq!(ask(0), 159);
    // Two more push out the second and the third, and not the first, which was used since.
    assert_eq!(ask(3), 0);
    assert_eq!(ask(0), 159);
    assert_eq!(ask(4), 0);
    assert_eq!(ask(0), 159);
    assert!(ask(1) < 159);
}

#[test]
fn who_has_to_give_way_is_answered_all_the_same() {
    let model = model();
    let writing = GenerationOptions {
        max_tokens: 200,
        ..GenerationOptions::default()
    };
    let rules = Sampling {
        logit_bias: (276..282).map(|token| (token, -1000.0)).collect(),
        ..Sampling::default()
    };
    let options = EngineOptions {
        // Each needs up to 26, and ten of them begin.
        kv_bytes: 40 * page_bytes(&model),
        ..options(&model)
    };
    let engine = Engine::start(Arc::clone(&model), options).unwrap();
    let answers: Vec<Answer> = (0..10)
        .map(|seed| {
            let work = Work::Write {
                prompt: prompt(seed, 20 + 20 * usize::try_from(seed).unwrap()),
                options: writing.clone(),
                rules: rules.clone(),
                streams: false,
            };
            engine.ask(request(&format!("{}", seed % 3), work)).unwrap()
        })
        .collect();
    for (seed, answer) in (0..).zip(answers) {
        let mut alone = Session::new(Arc::clone(&model));
        let prompt = prompt(seed, 20 + 20 * usize::try_from(seed).unwrap());
        let expected = alone
            .generate_with(&prompt, (&writing, &rules), |_| {
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(answer.wait().unwrap().outcome, Outcome::Written(expected));
    }
    assert!(engine.stats().preempted > 0);
}

#[test]
fn a_request_that_can_never_fit_is_told_so() {
    let model = model();
    let options = EngineOptions {
        kv_bytes: 10 * page_bytes(&model),
        ..options(&model)
    };
    let engine = Engine::start(Arc::clone(&model), options).unwrap();
    let refused = engine.ask(request("a", one_token(prompt(1, 160))));
    match refused.map(drop) {
        Err(Refused::Request(RequestError::MemoryExceeded {
            needed_bytes,
            kv_bytes,
            ..
        })) => assert_eq!(
            (needed_bytes, kv_bytes),
            (11 * page_bytes(&model), 10 * page_bytes(&model))
        ),
        other => panic!("{other:?}"),
    }
    // A text ends where its memory does.
    let Work::Write {
        prompt,
        options,
        rules,
        ..
    } = endless()
    else {
        panic!("it writes");
    };
    let work = Work::Write {
        prompt,
        options,
        rules,
        streams: false,
    };
    let answered = engine.ask(request("a", work)).unwrap().wait().unwrap();
    let Outcome::Written(written) = answered.outcome else {
        panic!("it writes");
    };
    assert_eq!(written.finish, llama::FinishReason::Length);
    // The prompt's three tokens and all written but the last were read.
    assert_eq!(written.tokens.len(), 9 * 16 - 3 + 1);
}
