//! Calls of tools in an answer that is being written.

use super::{PYTHON_TAG, Tool, ToolCall};

/// What is found in an answer, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolEvent {
    /// Text that is no part of a call; never empty.
    Text(String),
    /// A call of the tool of this name begins.
    Call(String),
    /// More of the arguments of the call that began last, as the model writes them: together a
    /// JSON object where it writes it to its end. Never empty.
    Arguments(String),
}

/// Parts the calls of tools in an answer from its text.
///
/// Text that may yet turn out to be a call is held back. Of a call in JSON whose name comes before
/// its parameters, as Llama's templates ask for it, the arguments are told while they are written;
/// every other form is told when the answer has ended.
///
/// ```
/// use llama::{Tool, ToolEvent, ToolReader};
///
/// let tool = Tool { name: "rate".into(), description: None, parameters: serde_json::json!({}) };
/// let mut reader = ToolReader::new(vec![tool]);
/// assert_eq!(reader.push("{\"name\": \"ra"), []);
/// let events = reader.push("te\", \"parameters\": {\"to\":");
/// assert_eq!(events[0], ToolEvent::Call("rate".into()));
/// assert_eq!(events[1], ToolEvent::Arguments("{\"to\":".into()));
/// ```
#[derive(Clone, Debug)]
pub struct ToolReader {
    tools: Vec<Tool>,
    calls: usize,
    calls_max: usize,
    held: String,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// What is held may be the beginning of calls.
    Open,
    /// It is text, all of it.
    Text,
    /// Within a call's arguments.
    Arguments(Nesting),
    /// Behind a call's arguments: its end is to come, and then perhaps another call.
    Behind,
    /// As many calls as may be have been written; what follows is passed over.
    Full,
}

/// How deep within a JSON value a text has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Nesting {
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl ToolReader {
    /// A reader of an answer that may call these tools. Without tools all is text.
    #[must_use]
    pub fn new(tools: Vec<Tool>) -> Self {
        Self {
            state: match tools.is_empty() {
                true => State::Text,
                false => State::Open,
            },
            tools,
            calls: 0,
            calls_max: usize::MAX,
            held: String::new(),
        }
    }

    /// The same, which takes at most `calls` calls, at least one, and passes over what follows
    /// them.
    #[must_use]
    pub fn at_most(self, calls: usize) -> Self {
        Self {
            calls_max: calls.max(1),
            ..self
        }
    }

    /// How many calls have begun.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Takes in more of the answer and tells what is certain now.
    pub fn push(&mut self, piece: &str) -> Vec<ToolEvent> {
        self.held.push_str(piece);
        let mut events = Vec::new();
        while self.step(&mut events) {}
        events
    }

    /// Tells what was held back, when the answer has ended.
    pub fn finish(&mut self) -> Vec<ToolEvent> {
        let held = std::mem::take(&mut self.held);
        let state = std::mem::replace(&mut self.state, State::Full);
        if state == State::Full || held.trim().is_empty() && state != State::Text {
            return Vec::new();
        }
        let calls = match state {
            State::Open | State::Behind => ToolCall::parse(&held, &self.tools),
            _ => None,
        };
        let Some(mut calls) = calls else {
            return text(held).into_iter().collect();
        };
        calls.truncate(self.calls_max - self.calls);
        self.calls += calls.len();
        let told = |call: ToolCall| {
            let arguments = serde_json::Value::Object(call.arguments).to_string();
            [ToolEvent::Call(call.name), ToolEvent::Arguments(arguments)]
        };
        calls.into_iter().flat_map(told).collect()
    }

    /// Tells the next thing that is certain; false where nothing more is.
    fn step(&mut self, events: &mut Vec<ToolEvent>) -> bool {
        match &mut self.state {
            State::Full => self.held.clear(),
            State::Text => events.extend(text(std::mem::take(&mut self.held))),
            State::Open => {
                if !ToolCall::may_begin(&self.held) {
                    self.state = State::Text;
                    return true;
                }
                return self.begin(events) == Head::Whole;
            }
            State::Arguments(nesting) => {
                let end = nesting.end_of(&self.held);
                let rest = self.held.split_off(end.unwrap_or(self.held.len()));
                let more = std::mem::replace(&mut self.held, rest);
                if !more.is_empty() {
                    events.push(ToolEvent::Arguments(more));
                }
                if end.is_some() {
                    self.state = State::Behind;
                    return true;
                }
            }
            State::Behind => return self.go_on(events),
        }
        false
    }

    /// Begins the call whose head is held.
    fn begin(&mut self, events: &mut Vec<ToolEvent>) -> Head {
        let mut cursor = Cursor(&self.held);
        let name = match cursor.head() {
            Ok(name) => name,
            Err(head) => return head,
        };
        if !self.tools.iter().any(|tool| tool.name == name) {
            return Head::Other;
        }
        let at = self.held.len() - cursor.0.len();
        self.held.drain(..at);
        self.calls += 1;
        self.state = State::Arguments(Nesting::default());
        events.push(ToolEvent::Call(name));
        Head::Whole
    }

    /// Reads on behind a call's arguments.
    fn go_on(&mut self, events: &mut Vec<ToolEvent>) -> bool {
        let between = |c: char| c.is_whitespace() || matches!(c, '}' | ';' | ',');
        let rest = self.held.trim_start_matches(between);
        self.held.drain(..self.held.len() - rest.len());
        if self.calls >= self.calls_max {
            self.state = State::Full;
            return true;
        }
        if self.held.is_empty() {
            return false;
        }
        match self.begin(events) {
            Head::Whole => true,
            Head::Other if !ToolCall::may_begin(&self.held) => {
                self.state = State::Text;
                true
            }
            Head::Part | Head::Other => false,
        }
    }
}

fn text(text: String) -> Option<ToolEvent> {
    (!text.is_empty()).then_some(ToolEvent::Text(text))
}

impl Nesting {
    /// Where the value ends that began before or begins with `json`; `None` where it goes on.
    fn end_of(&mut self, json: &str) -> Option<usize> {
        for (at, byte) in json.bytes().enumerate() {
            match byte {
                _ if std::mem::take(&mut self.escaped) => {}
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                b'{' | b'[' if !self.in_text => self.depth += 1,
                b'}' | b']' if !self.in_text => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// What a text is that should be a call's head: `{"name": "…", "parameters": {`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Whole,
    /// It is the beginning of one.
    Part,
    /// It is something else, or in another order.
    Other,
}

struct Cursor<'t>(&'t str);

impl Cursor<'_> {
    /// Goes up to the arguments, which begin with a brace, and gives back the tool's name.
    fn head(&mut self) -> Result<String, Head> {
        self.0 = self.0.trim_start();
        if let Some(rest) = self.0.strip_prefix(PYTHON_TAG) {
            self.0 = rest;
        } else if PYTHON_TAG.starts_with(self.0) {
            return Err(Head::Part);
        }
        self.mark('{')?;
        let mut name = None;
        loop {
            let key = self.text()?;
            self.mark(':')?;
            match (key.as_str(), name.take()) {
                ("parameters" | "arguments", Some(name)) => {
                    self.0 = self.0.trim_start();
                    return match self.0.chars().next() {
                        None => Err(Head::Part),
                        Some('{') => Ok(name),
                        Some(_) => Err(Head::Other),
                    };
                }
                ("name", None) => name = Some(self.text()?),
                ("type", named) => {
                    self.text()?;
                    name = named;
                }
                _ => return Err(Head::Other),
            }
            self.mark(',')?;
        }
    }

    /// Goes behind this mark.
    fn mark(&mut self, mark: char) -> Result<(), Head> {
        self.0 = self.0.trim_start();
        if self.0.is_empty() {
            return Err(Head::Part);
        }
        self.0 = self.0.strip_prefix(mark).ok_or(Head::Other)?;
        Ok(())
    }

    /// Goes behind a JSON string and gives it back.
    fn text(&mut self) -> Result<String, Head> {
        self.0 = self.0.trim_start();
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter::<String>();
        match values.next() {
            Some(Ok(text)) => {
                self.0 = &self.0[values.byte_offset()..];
                Ok(text)
            }
            None => Err(Head::Part),
            Some(Err(error)) if error.is_eof() => Err(Head::Part),
            Some(Err(_no_text)) => Err(Head::Other),
        }
    }
}
