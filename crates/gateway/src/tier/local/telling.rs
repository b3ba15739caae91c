//! What the engine writes, told while it is written and put together to a completion.

use domain::{
    Accumulator, Completion, FinishReason, StreamEnd, StreamEvent, TokenChoice, TokenLogprob,
};
use llama::{ToolEvent, ToolReader};
use uuid::Uuid;

use crate::answer::Live;
use crate::engine::{Choice, Piece, Token, Written};

/// One completion that is being written.
pub(super) struct Telling<'a> {
    /// Which of the request's completions it is, from 0.
    number: usize,
    live: Option<&'a Live>,
    reader: ToolReader,
    /// Whether any piece came.
    begun: bool,
    /// Calls that were told.
    calls: usize,
    /// Tokens of text that may yet turn out to be a call.
    held: Vec<TokenLogprob>,
    written: Accumulator,
}

impl<'a> Telling<'a> {
    pub(super) fn new(number: usize, live: Option<&'a Live>, reader: ToolReader) -> Self {
        Self {
            number,
            live,
            reader,
            begun: false,
            calls: 0,
            held: Vec::new(),
            written: Accumulator::default(),
        }
    }

    /// Takes in what was written next.
    pub(super) async fn piece(&mut self, piece: Piece) {
        self.begun = true;
        self.held.extend(piece.tokens.into_iter().map(logprob));
        for event in self.reader.push(&piece.text) {
            self.tell(event).await;
        }
    }

    /// The completion, when it has ended.
    pub(super) async fn end(mut self, written: &mut Written, model: &str) -> Completion {
        if !self.begun {
            // Nobody waited for pieces, or none of them was to be shown before the end.
            self.live = None;
            self.piece(Piece {
                text: std::mem::take(&mut written.text),
                log_probabilities: Vec::new(),
                tokens: std::mem::take(&mut written.tokens),
            })
            .await;
        }
        for event in self.reader.finish() {
            self.tell(event).await;
        }
        if self.calls == 0 {
            self.tell_tokens().await;
        }
        let end = StreamEnd {
            finish_reason: match written.finish {
                llama::FinishReason::Length => FinishReason::Length,
                _ if self.calls > 0 => FinishReason::ToolCalls,
                _ => FinishReason::Stop,
            },
            stop_sequence: None,
            usage: None,
            model: model.to_owned(),
        };
        // The end of the first completion is that of the whole answer, which is told elsewhere.
        if let (Some(live), 1..) = (self.live, self.number) {
            live.say(self.numbered(StreamEvent::End(end.clone()))).await;
        }
        self.written.push(StreamEvent::End(end));
        let whole = self.written.finish();
        whole.unwrap_or_else(|| unreachable!("the end was told"))
    }

    async fn tell(&mut self, event: ToolEvent) {
        match event {
            ToolEvent::Text(text) => {
                self.say(StreamEvent::Text(text)).await;
                self.tell_tokens().await;
            }
            ToolEvent::Call(name) => {
                self.held.clear();
                self.calls += 1;
                let call = domain::ToolCall {
                    id: format!("call_{}", Uuid::now_v7().simple()),
                    name,
                    arguments: String::new(),
                    signature: None,
                };
                self.say(StreamEvent::ToolCall(call)).await;
            }
            ToolEvent::Arguments(json) => {
                self.held.clear();
                let call = self.calls - 1;
                self.say(StreamEvent::Arguments { call, json }).await;
            }
        }
    }

    /// Tells the probabilities of text that was told.
    async fn tell_tokens(&mut self) {
        let tokens = std::mem::take(&mut self.held);
        if !tokens.is_empty() {
            self.say(StreamEvent::Logprobs(tokens)).await;
        }
    }

    async fn say(&mut self, event: StreamEvent) {
        if let Some(live) = self.live {
            live.say(self.numbered(event.clone())).await;
        }
        self.written.push(event);
    }

    fn numbered(&self, event: StreamEvent) -> StreamEvent {
        match self.number {
            0 => event,
            completion => StreamEvent::Other {
                completion,
                event: Box::new(event),
            },
        }
    }
}

fn logprob(token: Token) -> TokenLogprob {
    TokenLogprob {
        written: choice(token.written),
        top: token.top.into_iter().map(choice).collect(),
    }
}

fn choice(choice: Choice) -> TokenChoice {
    TokenChoice {
        token: String::from_utf8_lossy(&choice.bytes).into_owned(),
        logprob: choice.log_probability,
        bytes: Some(choice.bytes),
    }
}
