//! Who is let in, who gets on, and what happens to the others meanwhile.

use super::*;
use llama::{Event, Refused, RequestError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

#[test]
fn a_full_queue_says_how_long_it_will_be() {
    let model = model();
    let options = EngineOptions {
        queue_max: 2,
        running_max: some(1),
        ..options(&model)
    };
    let engine = Engine::start(model, options).unwrap();
    let _first = engine.ask(request("a", endless())).unwrap();
    until_one_runs(&engine);
    let ask = || engine.ask(request("a", one_token(prompt(1, 50))));
    let waiting = [ask().unwrap(), ask().unwrap()];
    assert_eq!(engine.stats().waiting, 2);
    match ask() {
        Err(Refused::Full { wait }) => assert!(wait.as_nanos() > 0),
        other => panic!("{:?}", other.map(drop)),
    }
    // Who goes away makes room.
    drop(waiting);
    while engine.stats().waiting > 0 {
        std::thread::yield_now();
    }
    assert!(ask().is_ok());
}

#[test]
fn a_dropped_request_makes_its_place_free() {
    let model = model();
    let options = EngineOptions {
        running_max: some(1),
        ..options(&model)
    };
    let engine = Engine::start(model, options).unwrap();
    let first = engine.ask(request("a", endless())).unwrap();
    until_one_runs(&engine);
    let second = engine.ask(request("a", one_token(prompt(1, 50)))).unwrap();
    drop(first);
    second.wait().unwrap();
    while engine.stats().running > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_slow_reader_delays_nobody_else() {
    let model = model();
    let engine = Engine::start(Arc::clone(&model), options(&model)).unwrap();
    let Work::Write {
        prompt: begin,
        options,
        rules,
        ..
    } = endless()
    else {
        panic!("it writes");
    };
    let options = GenerationOptions {
        max_tokens: 3000,
        ..options
    };
    let work = Work::Write {
        prompt: begin,
        options,
        rules,
        streams: true,
    };
    let mut slow = engine.ask(request("a", work)).unwrap();
    // It has written what it may long before so many others were answered.
    for seed in 0..300 {
        let work = one_token(prompt(seed, 30));
        engine.ask(request("a", work)).unwrap().wait().unwrap();
    }
    let mut read = String::new();
    let answered = loop {
        match slow.next_event() {
            Event::Text(piece) => read.push_str(&piece.text),
            Event::End(end) => break end.unwrap(),
        }
    };
    assert_eq!(read, "hello".repeat(3000));
    assert_eq!(text(&answered.outcome), read);
    assert_eq!(slow.next_event(), Event::End(Err(RequestError::Cancelled)));
}

#[test]
fn a_short_prompt_does_not_wait_for_a_long_one() {
    let model = model();
    let engine = Engine::start(Arc::clone(&model), options(&model)).unwrap();
    let mut long = engine
        .ask(request("a", one_token(prompt(1, 16_000))))
        .unwrap();
    until_one_runs(&engine);
    let short = engine.ask(request("a", one_token(prompt(2, 40)))).unwrap();
    short.wait().unwrap();
    assert_eq!(long.try_next(), None);
}

#[test]
fn a_tenant_with_many_requests_leaves_another_its_share() {
    let model = model();
    let engine = Engine::start(Arc::clone(&model), options(&model)).unwrap();
    let ended = Arc::new(AtomicUsize::new(0));
    let many: Vec<Answer> = (0..60)
        .map(|seed| {
            let ended = Arc::clone(&ended);
            let work = one_token(prompt(seed, 300));
            let count = move || {
                ended.fetch_add(1, Ordering::SeqCst);
            };
            engine.ask_with(request("many", work), count).unwrap()
        })
        .collect();
    let before = ended.load(Ordering::SeqCst);
    // The answer may be seen before what is called at its end.
    let (note, at_end) = mpsc::channel();
    let seen = Arc::clone(&ended);
    let work = one_token(prompt(99, 300));
    let one = engine
        .ask_with(request("one", work), move || {
            note.send(seen.load(Ordering::SeqCst)).unwrap();
        })
        .unwrap();
    one.wait().unwrap();
    // It gets every second token, so that about as many tokens of the others were read.
    let meanwhile = at_end.recv().unwrap() - before;
    assert!(meanwhile <= 4, "{meanwhile} came before it");
    for answer in many {
        answer.wait().unwrap();
    }
}

#[test]
fn a_prompt_that_several_bring_at_once_is_read_once() {
    let model = model();
    let engine = Engine::start(Arc::clone(&model), options(&model)).unwrap();
    let answers: Vec<Answer> = (0..10)
        .map(|last| {
            let tokens = [prompt(5, 1000), vec![last; 3]].concat();
            engine.ask(request("a", one_token(tokens))).unwrap()
        })
        .collect();
    let cached: Vec<usize> = answers.into_iter().map(cached).collect();
    assert!(cached.iter().sum::<usize>() >= 9 * 990, "{cached:?}");
}

#[test]
fn labels_after_a_shared_prompt_cost_only_what_differs() {
    let model = model();
    let engine = Engine::start(Arc::clone(&model), options(&model)).unwrap();
    let labels: Vec<Vec<u32>> = (0..5).map(|i| vec![7, 8, 20 + i]).collect();
    for document in 0..5 {
        let prompt = [prompt(5, 512), prompt(100 + document, 40)].concat();
        let work = Work::Score {
            prompt,
            labels: labels.clone(),
        };
        let answered = engine.ask(request("a", work)).unwrap().wait().unwrap();
        assert_eq!(answered.prompt_tokens, 552);
        if document > 0 {
            // The whole shared part, though it ends on no page's end in general.
            assert!(answered.cached_tokens >= 512, "{}", answered.cached_tokens);
        }
    }
}

#[test]
fn a_broken_reader_is_let_go() {
    let model = model();
    let engine = Engine::start(Arc::clone(&model), options(&model)).unwrap();
    let work = one_token(prompt(1, 20));
    let _broken = engine
        .ask_with(request("a", work.clone()), || panic!("a reader's fault"))
        .unwrap();
    engine.ask(request("a", work)).unwrap().wait().unwrap();
}

#[test]
fn who_is_left_when_the_engine_closes_is_told() {
    let model = model();
    let engine = Engine::start(Arc::clone(&model), options(&model)).unwrap();
    let answer = engine.ask(request("a", endless())).unwrap();
    drop(engine);
    assert_eq!(answer.wait(), Err(RequestError::Cancelled));
}
