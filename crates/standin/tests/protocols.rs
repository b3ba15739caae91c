//! The stand-in's protocols, asked over a plain connection and read with the readers for vendors.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::collections::VecDeque;

use domain::{
    Accumulator, Completion, Content, FinishReason, Message, Picodollars, Price, Prompt, Protocol,
    Role, Tool, ToolChoice,
};
use domain::{CompletionTokens, Generation, ReasoningDepth, StreamEvent, TokenRate, Usage};
use standin::journal::{self, Delivered};
use standin::{AnswerSet, Answers, RunningStandin, Standin, StandinOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::chat::{
    ChunkReader, Delivery, Dialect, OutwardRequest, VendorError, encode_request, parse_completion,
};
use wire::sse::Framer;

const QUESTION: &str = "Was Frau Müller fragt";
const ANSWER: &str = "Grüße, 漢字 und 🦀🦀 – ja";

struct Vendor {
    running: RunningStandin,
    journal: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn price() -> Price {
    let rate = |usd| TokenRate::from_usd_per_million(usd).unwrap();
    Price {
        input: rate("2.50"),
        cached_input: rate("0.25"),
        cache_write: rate("2.50"),
        output: rate("10"),
    }
}

impl Vendor {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.jsonl");
        let known = [(QUESTION.to_owned(), ANSWER.to_owned())];
        let mut options = StandinOptions::new(Answers::new(vec![AnswerSet::new(vec![], known)]));
        options.key = Some("sk-test".into());
        options.price = price();
        options.journal = Some(journal.clone());
        Self {
            running: Standin::start(options).await.unwrap(),
            journal,
            _folder: folder,
        }
    }

    /// What comes back for this body. HTTP 1.0 ends a body with the connection.
    async fn post(&self, path: &str, headers: &str, body: &str) -> Response {
        let mut connection = TcpStream::connect(self.running.address()).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.0\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(body.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // A cut connection gives what came before it.
        let _cut = connection.read_to_end(&mut bytes).await;
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        Response {
            status: head[9..12].parse().unwrap(),
            head,
            body: bytes.split_off(end + 4),
        }
    }

    async fn ask(&self, question: &Question, fault: Option<&str>) -> Response {
        let key = match question.protocol {
            Protocol::Anthropic => "x-api-key: sk-test\r\n",
            Protocol::Google => "x-goog-api-key: sk-test\r\n",
            _ => "authorization: Bearer sk-test\r\n",
        };
        let fault = fault.map(|fault| format!("x-standin-fault: {fault}\r\n"));
        let headers = format!("{key}{}", fault.unwrap_or_default());
        self.post(&question.path(), &headers, &question.body())
            .await
    }
}

struct Question {
    protocol: Protocol,
    delivery: Delivery,
    prompt: Prompt,
    generation: Generation,
}

impl Question {
    fn new(protocol: Protocol, delivery: Delivery) -> Self {
        Self {
            protocol,
            delivery,
            prompt: Prompt::new(vec![
                Message::new(Role::System, "Answer."),
                Message::new(Role::User, QUESTION),
            ]),
            generation: Generation::new(CompletionTokens(1_000)),
        }
    }

    fn path(&self) -> String {
        match (self.protocol, self.delivery) {
            (Protocol::OpenAiChat, _) => "/v1/chat/completions".into(),
            (Protocol::OpenAiResponses, _) => "/v1/responses".into(),
            (Protocol::Anthropic, _) => "/v1/messages".into(),
            (Protocol::Google, Delivery::Whole) => {
                "/v1beta/models/standin-1:generateContent".into()
            }
            (Protocol::Google, Delivery::Streamed) => {
                "/v1beta/models/standin-1:streamGenerateContent?alt=sse".into()
            }
        }
    }

    fn body(&self) -> String {
        let request = OutwardRequest {
            model: "standin-1",
            prompt: &self.prompt,
            generation: &self.generation,
            dialect: Dialect::default(),
            delivery: self.delivery,
            extra: None,
        };
        encode_request(self.protocol, &request)
    }

    /// The completion that a response holds; `None` where it breaks off.
    fn read(&self, response: &Response) -> Option<Completion> {
        if self.delivery == Delivery::Whole {
            return parse_completion(self.protocol, &response.body).ok();
        }
        let mut events = VecDeque::new();
        Framer::new(1 << 20)
            .push(&response.body, &mut events)
            .ok()?;
        let mut reader = ChunkReader::new(self.protocol);
        let mut told = VecDeque::new();
        for event in &events {
            reader.read(event, &mut told).ok()?;
            if matches!(told.back(), Some(StreamEvent::End(_))) {
                break;
            }
        }
        reader.finish(&mut told).ok()?;
        let mut all = Accumulator::default();
        told.into_iter().for_each(|event| all.push(event));
        all.finish()
    }
}

fn questions() -> impl Iterator<Item = Question> {
    Protocol::ALL.into_iter().flat_map(|protocol| {
        let deliveries = [Delivery::Whole, Delivery::Streamed];
        deliveries.map(|delivery| Question::new(protocol, delivery))
    })
}

#[tokio::test]
async fn every_protocol_is_answered_and_billed_alike() {
    let vendor = Vendor::start().await;
    let mut asked = 0;
    for question in questions() {
        let response = vendor.ask(&question, None).await;
        let completion = question.read(&response).unwrap();
        let protocol = question.protocol;
        assert_eq!(completion.text(), ANSWER, "{protocol}");
        assert_eq!(completion.finish_reason, FinishReason::Stop, "{protocol}");
        asked += 1;
        vendor.running.ended(asked).await;
        let bills = journal::read(&vendor.journal).unwrap();
        let bill = bills.last().unwrap();
        assert_eq!(bill.delivered, Delivered::Whole);
        let reported = price().cost(&completion.usage.unwrap()).unwrap();
        assert_eq!(bill.cost, reported, "{protocol}");
    }
}

#[tokio::test]
async fn demanded_tools_are_called_and_thoughts_are_told() {
    let vendor = Vendor::start().await;
    for mut question in questions() {
        let protocol = question.protocol;
        let thinks = protocol != Protocol::Anthropic;
        let schema = r#"{"type": "object"}"#;
        question.prompt.tools = vec![Tool::new("first", schema), Tool::new("second", schema)];
        question.generation.options.tool_choice = Some(ToolChoice::Required);
        question.generation.options.reasoning = Some(ReasoningDepth::High);
        let response = vendor.ask(&question, None).await;
        let completion = question.read(&response).unwrap();
        assert_eq!(
            completion.finish_reason,
            FinishReason::ToolCalls,
            "{protocol}"
        );
        let calls = completion
            .parts
            .iter()
            .filter_map(|part| match &part.content {
                Content::ToolCall(call) => Some((call.name.as_str(), call.arguments.as_str())),
                _ => None,
            });
        let arguments = format!("{{\"text\":\"{QUESTION}\"}}");
        let calls: Vec<_> = calls.collect();
        assert_eq!(
            calls,
            [("first", &*arguments), ("second", &*arguments)],
            "{protocol}"
        );
        let is_thought = |part: &domain::Part| matches!(part.content, Content::Reasoning(_));
        let has_thought = completion.parts.iter().any(is_thought);
        assert!(has_thought || !thinks, "{protocol}");
        // The vendor's effort without thinking is still one to think to the stand-in.
        let reasoning = completion.usage.unwrap().reasoning;
        assert_eq!(reasoning.0 > 0, has_thought, "{protocol}");
    }
}

#[tokio::test]
async fn faults_strike_in_every_protocol() {
    let vendor = Vendor::start().await;
    for question in questions() {
        let protocol = question.protocol;
        let streamed = question.delivery == Delivery::Streamed;
        let ask = async |fault| {
            let response = vendor.ask(&question, Some(fault)).await;
            (question.read(&response), response)
        };
        for fault in ["cut-before", "cut-mid-event", "garbage"] {
            assert_eq!(ask(fault).await.0, None, "{protocol}: {fault}");
        }
        for fault in ["no-end", "error-before", "error-after"] {
            assert_eq!(
                ask(fault).await.0.is_none(),
                streamed,
                "{protocol}: {fault}"
            );
        }
        for fault in ["drip", "duplicate"] {
            let completion = ask(fault).await.0.unwrap();
            assert_eq!(completion.text(), ANSWER, "{protocol}: {fault}");
        }
        let billed = question.read(&vendor.ask(&question, None).await).unwrap();
        let wrong = ask("wrong-usage").await.0.unwrap().usage.unwrap();
        let right = billed.usage.unwrap();
        assert_eq!(wrong.completion.0, right.completion.0 / 2, "{protocol}");
        assert_eq!(ask("no-usage").await.0.unwrap().usage, None, "{protocol}");
        let (_, response) = ask("status:529;retry-after=7;header=x-limit:0").await;
        assert_eq!(response.status, 529, "{protocol}");
        assert!(
            response.head.contains("retry-after: 7"),
            "{}",
            response.head
        );
        assert!(response.head.contains("x-limit: 0"), "{}", response.head);
        let error = VendorError::parse(&response.body);
        assert!(error.message.is_some(), "{protocol}: {error:?}");
    }
    // Whatever was told, every answer was billed at what it would have been.
    let bills = journal::read(&vendor.journal).unwrap();
    let costs: Vec<Picodollars> = bills.iter().map(|bill| bill.cost).collect();
    assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    assert_eq!(bills.len(), questions().count() * 11);
}

#[tokio::test]
async fn a_stall_leaves_the_connection_open() {
    let vendor = Vendor::start().await;
    for question in questions().filter(|it| it.delivery == Delivery::Streamed) {
        let body = question.body();
        let mut connection = TcpStream::connect(vendor.running.address()).await.unwrap();
        let head = format!(
            "POST {} HTTP/1.0\r\nauthorization: Bearer sk-test\r\nx-standin-fault: stall-after\r\ncontent-length: {}\r\n\r\n{body}",
            question.path(),
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        let first = &ANSWER[..2];
        while !String::from_utf8_lossy(&seen).contains(first) {
            assert!(connection.read_buf(&mut seen).await.unwrap() > 0);
        }
        assert_eq!(
            question.read(&Response {
                status: 200,
                head: String::new(),
                body: seen,
            }),
            None
        );
    }
    vendor.running.shutdown().await;
}

#[tokio::test]
async fn errors_have_the_form_of_the_protocol() {
    let vendor = Vendor::start().await;
    let mut told = Vec::new();
    for question in questions().filter(|it| it.delivery == Delivery::Whole) {
        for (headers, body) in [
            ("", question.body()),
            ("x-api-key: sk-test\r\n", "{}".to_owned()),
        ] {
            let response = vendor.post(&question.path(), headers, &body).await;
            let body = String::from_utf8(response.body).unwrap();
            told.push(format!("{} {} {body}", question.protocol, response.status));
        }
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn embeddings_and_counts_are_given() {
    let vendor = Vendor::start().await;
    let key = "authorization: Bearer sk-test\r\n";
    let body = r#"{"model": "standin-1", "input": ["eight by", "x"], "dimensions": 4}"#;
    let response = vendor.post("/v1/embeddings", key, body).await;
    let vectors = wire::openai::embeddings::parse_embeddings(&response.body).unwrap();
    assert_eq!((vectors.vectors.len(), vectors.vectors[0].len()), (2, 4));
    let bills = journal::read(&vendor.journal).unwrap();
    let usage = Usage {
        prompt: vectors.prompt.unwrap(),
        ..Usage::default()
    };
    assert_eq!(bills[0].usage, usage);
    let body = r#"{"requests": [{"content": {"parts": [{"text": "eight by"}]}, "outputDimensionality": 4}]}"#;
    let path = "/v1beta/models/standin-1:batchEmbedContents";
    let response = vendor.post(path, key, body).await;
    let same = wire::google::embed::parse_embeddings(&response.body).unwrap();
    assert_eq!(same.vectors[0], vectors.vectors[0]);
    let body = r#"{"model": "standin-1", "messages": [{"role": "user", "content": "eight by"}]}"#;
    let response = vendor.post("/v1/messages/count_tokens", key, body).await;
    let count = wire::anthropic::messages::parse_count(&response.body).unwrap();
    assert_eq!(count.0, 2 + 4);
    // Counting costs nothing.
    assert_eq!(journal::read(&vendor.journal).unwrap().len(), 2);
}
