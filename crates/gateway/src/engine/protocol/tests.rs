use proptest::prelude::*;

use llama::{ChatMessage, FinishReason, Grammar, Role, Sampling, Tool, ToolCall};
use serde_json::Value;
use wire::embedding::EmbeddingText;

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
            alternatives: top_k.into(),
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

fn object() -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    let value = prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from)
    ];
    prop::collection::vec((text(), value), 0..3).prop_map(|fields| fields.into_iter().collect())
}

fn chat() -> impl Strategy<Value = Chat> {
    let role = prop_oneof![
        Just(Role::System),
        Just(Role::User),
        Just(Role::Assistant),
        Just(Role::Tool)
    ];
    let call = (text(), object()).prop_map(|(name, arguments)| ToolCall { name, arguments });
    let calls = prop::collection::vec(call, 0..3);
    let message = (role, text(), calls).prop_map(|(role, content, tool_calls)| ChatMessage {
        role,
        content,
        tool_calls,
    });
    let tool =
        (text(), prop::option::of(text()), object()).prop_map(|(name, description, parameters)| {
            Tool {
                name,
                description,
                parameters: parameters.into(),
            }
        });
    let messages = prop::collection::vec(message, 0..4);
    let tools = prop::collection::vec(tool, 0..3);
    (messages, tools).prop_map(|(messages, tools)| Chat { messages, tools })
}

fn prompt() -> impl Strategy<Value = Prompt> {
    let suffix = prop::option::of(text());
    prop_oneof![
        chat().prop_map(Prompt::Chat),
        (text(), suffix).prop_map(|(text, suffix)| Prompt::Text { text, suffix }),
    ]
}

fn writing() -> impl Strategy<Value = Writing> {
    let how = (any::<u32>(), 0.0f64..2.0, any::<u64>());
    let stop = prop::collection::vec(text(), 0..3);
    (prompt(), how, stop, rules(), any::<[bool; 2]>()).prop_map(
        |(prompt, (max_tokens, temperature, seed), stop, rules, [streams, tells_tokens])| Writing {
            prompt,
            max_tokens: max_tokens as usize,
            temperature,
            seed,
            stop,
            rules,
            streams,
            tells_tokens,
        },
    )
}

fn work() -> impl Strategy<Value = Work> {
    let labels = prop::collection::vec(text(), 0..5);
    prop_oneof![
        (chat(), labels).prop_map(|(chat, labels)| Work::Score { chat, labels }),
        writing().prop_map(|writing| Work::Write(Box::new(writing))),
        text().prop_map(|text| Work::Embed(EmbeddingText::Plain(text))),
        prop::collection::vec(any::<u32>(), 0..9)
            .prop_map(|tokens| Work::Embed(EmbeddingText::Tokens(tokens))),
        prompt().prop_map(Work::Count),
        Just(Work::Report),
    ]
}

fn to_worker() -> impl Strategy<Value = ToWorker> {
    let asked = (any::<u64>(), text(), work());
    let start = (any::<bool>(), any::<u16>(), any::<Option<u64>>());
    prop_oneof![
        asked.prop_map(|(id, tenant, work)| ToWorker::Ask(Box::new(Asked { id, tenant, work }))),
        start.prop_map(|(starter, n, kv_bytes)| ToWorker::Start(Start {
            source: if starter {
                Source::Starter
            } else {
                Source::File("/m/a.gguf".into())
            },
            threads: n.into(),
            queue_max: n.into(),
            kv_bytes,
        })),
        (any::<u64>(), any::<u16>()).prop_map(|(id, n)| ToWorker::Fetched(id, n.into())),
        any::<u64>().prop_map(ToWorker::Withdraw),
    ]
}

fn tokens() -> impl Strategy<Value = Vec<Token>> {
    let choice = || {
        let bytes = prop::collection::vec(any::<u8>(), 0..5);
        (bytes, -1e300f64..0.0).prop_map(|(bytes, log_probability)| Choice {
            bytes,
            log_probability,
        })
    };
    let top = prop::collection::vec(choice(), 0..3);
    let token = (choice(), top).prop_map(|(written, top)| Token { written, top });
    prop::collection::vec(token, 0..4)
}

fn end() -> impl Strategy<Value = End> {
    let usage =
        || (any::<u64>(), any::<u64>()).prop_map(|(prompt, cached)| Usage { prompt, cached });
    let finish = prop_oneof![
        Just(FinishReason::Length),
        Just(FinishReason::StopText),
        Just(FinishReason::EndOfAnswer)
    ];
    let numbers = || prop::collection::vec(-1e300f64..0.0, 0..9);
    let fault = prop_oneof![Just(FaultKind::Request), Just(FaultKind::Engine)];
    let written = (text(), numbers(), tokens(), finish, usage());
    let vector = prop::collection::vec(-1.0f32..1.0, 0..9);
    prop_oneof![
        (numbers(), usage()).prop_map(|(log_probabilities, usage)| End::Scored {
            log_probabilities,
            usage
        }),
        written.prop_map(|(text, log_probabilities, tokens, finish, usage)| {
            End::Written(Written {
                text,
                log_probabilities,
                tokens,
                finish,
                usage,
            })
        }),
        (vector, usage()).prop_map(|(vector, usage)| End::Embedded { vector, usage }),
        any::<u64>().prop_map(End::Counted),
        (any::<[u64; 9]>(), 0.0f64..1e9).prop_map(|(n, tokens_per_second)| End::Reported(Load {
            waiting: n[0],
            running: n[1],
            kv_bytes: n[2],
            kv_bytes_max: n[3],
            prefix_bytes: n[4],
            steps: n[5],
            computed_tokens: n[6],
            cached_tokens: n[7],
            preempted: n[8],
            tokens_per_second,
        })),
        (fault, text()).prop_map(|(fault, message)| End::Failed { fault, message }),
        any::<u64>().prop_map(|wait_ms| End::Busy { wait_ms }),
    ]
}

fn from_worker() -> impl Strategy<Value = FromWorker> {
    let calls = prop_oneof![
        Just(CallsAtOnce::None),
        Just(CallsAtOnce::One),
        Just(CallsAtOnce::Several)
    ];
    let lacking = prop::collection::vec(text(), 0..3);
    let about = (text(), text(), any::<u16>(), calls, lacking);
    let numbers = prop::collection::vec(-1e300f64..0.0, 0..9);
    let piece = (text(), numbers, tokens()).prop_map(|(text, log_probabilities, tokens)| Piece {
        text,
        log_probabilities,
        tokens,
    });
    prop_oneof![
        about.prop_map(|(model, quantisation, dimensions, calls, lacking)| {
            FromWorker::Ready(About {
                model,
                quantisation,
                dimensions: dimensions.into(),
                calls,
                lacking,
            })
        }),
        text().prop_map(FromWorker::Unloadable),
        (any::<u64>(), piece).prop_map(|(id, piece)| FromWorker::Text(id, piece)),
        (any::<u64>(), end()).prop_map(|(id, end)| FromWorker::End(id, end)),
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
        kv_bytes: None,
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
