use proptest::prelude::*;

use llama::Grammar;

use super::*;

fn text() -> impl Strategy<Value = String> {
    any::<String>()
}

fn rules() -> impl Strategy<Value = Sampling> {
    let grammar = prop_oneof![
        Just(None),
        Just(Some(Grammar::JsonObject)),
        text().prop_map(|text| Some(Grammar::JsonSchema(text))),
        text().prop_map(|text| Some(Grammar::Regex(text))),
        text().prop_map(|text| Some(Grammar::Lark(text))),
    ];
    let bias = prop::collection::vec((any::<u32>(), -100.0f32..100.0), 0..3);
    let shares = (0.0f64..=1.0, 0.0f64..=1.0);
    let penalties = (-2.0f32..2.0, -2.0f32..2.0);
    (any::<u16>(), shares, penalties, bias, grammar).prop_map(
        |(top_k, (top_p, min_p), penalties, logit_bias, grammar)| Sampling {
            top_k: top_k.into(),
            top_p,
            min_p,
            frequency_penalty: penalties.0,
            presence_penalty: penalties.1,
            logit_bias,
            grammar,
            ..Sampling::default()
        },
    )
}

fn work() -> impl Strategy<Value = Work> {
    let write = (
        any::<u32>(),
        0.0f64..2.0,
        any::<u64>(),
        prop::collection::vec(text(), 0..3),
        rules(),
        any::<bool>(),
    );
    prop_oneof![
        prop::collection::vec(text(), 0..5).prop_map(Work::Score),
        write.prop_map(
            |(max_tokens, temperature, seed, stop, rules, streams)| Work::Write {
                max_tokens: max_tokens as usize,
                temperature,
                seed,
                stop,
                rules,
                streams,
            }
        ),
    ]
}

fn to_worker() -> impl Strategy<Value = ToWorker> {
    let role = prop_oneof![Just(Role::System), Just(Role::User), Just(Role::Assistant)];
    let message = (role, text()).prop_map(|(role, content)| ChatMessage::new(role, content));
    let suffix = prop::option::of(text());
    let prompt = prop_oneof![
        prop::collection::vec(message, 0..4).prop_map(Prompt::Chat),
        (text(), suffix).prop_map(|(text, suffix)| Prompt::Text { text, suffix }),
    ];
    let asked = (any::<u64>(), text(), prompt, work());
    prop_oneof![
        asked.prop_map(|(id, tenant, prompt, work)| ToWorker::Ask(Box::new(Asked {
            id,
            tenant,
            prompt,
            work
        }))),
        (any::<bool>(), any::<u16>()).prop_map(|(starter, n)| ToWorker::Start(Start {
            source: if starter {
                Source::Starter
            } else {
                Source::File("/m/a.gguf".into())
            },
            threads: n.into(),
            queue_max: n.into(),
        })),
        (any::<u64>(), any::<u16>()).prop_map(|(id, n)| ToWorker::Fetched(id, n.into())),
        any::<u64>().prop_map(ToWorker::Withdraw),
    ]
}

fn from_worker() -> impl Strategy<Value = FromWorker> {
    let usage = (any::<u64>(), any::<u64>()).prop_map(|(prompt, cached)| Usage { prompt, cached });
    let finish = prop_oneof![
        Just(FinishReason::Length),
        Just(FinishReason::StopText),
        Just(FinishReason::EndOfAnswer)
    ];
    let numbers = || prop::collection::vec(-1e300f64..0.0, 0..9);
    let fault = prop_oneof![Just(FaultKind::Request), Just(FaultKind::Engine)];
    let end = prop_oneof![
        (numbers(), usage.clone()).prop_map(|(log_probabilities, usage)| End::Scored {
            log_probabilities,
            usage
        }),
        (text(), numbers(), finish, usage).prop_map(|(text, log_probabilities, finish, usage)| {
            End::Written {
                text,
                log_probabilities,
                finish,
                usage,
            }
        }),
        (fault, text()).prop_map(|(fault, message)| End::Failed { fault, message }),
        any::<u64>().prop_map(|wait_ms| End::Busy { wait_ms }),
    ];
    prop_oneof![
        (text(), text(), prop::collection::vec(text(), 0..3)).prop_map(
            |(model, quantisation, lacking)| FromWorker::Ready {
                model,
                quantisation,
                lacking
            }
        ),
        text().prop_map(FromWorker::Unloadable),
        (any::<u64>(), text(), numbers()).prop_map(|(id, text, log_probabilities)| {
            let piece = Piece {
                text,
                log_probabilities,
            };
            FromWorker::Text(id, piece)
        }),
        (any::<u64>(), end).prop_map(|(id, end)| FromWorker::End(id, end)),
    ]
}

fn frame(message: &impl Message) -> Vec<u8> {
    let mut frame = Vec::new();
    message.send(&mut frame).unwrap();
    frame
}

proptest! {
    #[test]
    fn what_is_sent_is_what_is_received(to in to_worker(), from in from_worker()) {
        let received = ToWorker::receive(&mut frame(&to).as_slice()).unwrap();
        prop_assert_eq!(received, Some(to));
        let received = FromWorker::receive(&mut frame(&from).as_slice()).unwrap();
        prop_assert_eq!(received, Some(from));
    }

    #[test]
    fn bytes_from_a_hostile_worker_break_nothing(
        from in from_worker(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = frame(&from);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        // Whatever it is, it is read in the space of the bytes that are there.
        let _any = FromWorker::receive(&mut bytes.as_slice());
    }
}

#[test]
fn a_count_beyond_the_bytes_is_malformed() {
    let mut encoder = Encoder(vec![0; 4]);
    encoder.byte(3);
    encoder.number(1);
    encoder.byte(0);
    encoder.number(u64::MAX);
    let mut frame = encoder.0;
    let length = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_le_bytes());
    let received = FromWorker::receive(&mut frame.as_slice());
    assert_eq!(received.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn another_version_is_malformed() {
    let mut frame = frame(&ToWorker::Start(Start {
        source: Source::Starter,
        threads: 1,
        queue_max: 1,
    }));
    frame[5] += 1;
    assert!(ToWorker::receive(&mut frame.as_slice()).is_err());
}

#[test]
fn an_end_between_frames_is_no_fault_and_one_within_is() {
    let frame = frame(&FromWorker::Unloadable("a".into()));
    assert_eq!(FromWorker::receive(&mut [].as_slice()).unwrap(), None);
    let received = FromWorker::receive(&mut &frame[..frame.len() - 1]);
    assert_eq!(received.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
