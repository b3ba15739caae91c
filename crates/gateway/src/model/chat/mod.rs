//! `tiergate model chat`: a conversation with a model at the terminal.

mod interrupt;
mod screen;

use std::io::BufRead;
use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use llama::{
    Cancel, ChatMessage, ChatTemplate, FinishReason, GenerationOptions, RequestError, Role,
    Session, TokenId,
};

use self::interrupt::Interrupt;
use super::ModelArgs;
use crate::terminal::count;

const HELP: &str = "\
/reset         forget the conversation
/system TEXT   give instructions for what follows; without a text, take them back
/help          show this
/quit          end, as Ctrl-D does
Ctrl-C stops an answer. A line that ends in \\ goes on in the next. A message that begins with
a slash is written with two.";

/// `tiergate model chat`.
#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Instructions that the model is given before the conversation.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// 0 always takes the likeliest token; 1 follows the model's own probabilities.
    #[arg(long, default_value_t = 0.6, value_parser = parse_temperature)]
    temperature: f64,
    /// With the same seed, the same messages get the same answers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The most tokens of an answer.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: u32,
}

fn parse_temperature(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (0.0..=2.0).contains(number));
    number.ok_or_else(|| "a temperature is a number from 0 to 2".to_owned())
}

pub(super) fn run(args: &ChatArgs) -> anyhow::Result<()> {
    let model = args.model.open()?;
    let threads = args.model.threads(&model);
    if model.chat_template().is_none() {
        let model = model.name().to_owned();
        return Err(RequestError::NoChatTemplate { model }.into());
    }
    let interrupt = Interrupt::listen().context("Ctrl-C can't be listened for")?;
    let context_tokens = model.config().context_tokens;
    screen::dim(format_args!(
        "{}: a conversation of up to {} tokens; /help tells the rest",
        args.model.model,
        count(context_tokens)
    ));
    let mut chat = Chat {
        session: Session::new(model).with_threads(threads),
        system: args.system.clone(),
        messages: Vec::new(),
        options: GenerationOptions {
            max_tokens: usize::try_from(args.max_tokens).unwrap_or(usize::MAX),
            temperature: args.temperature,
            seed: args.seed,
            ..GenerationOptions::default()
        },
        interrupt,
    };
    chat.talk(&mut std::io::stdin().lock())
}

/// A conversation.
struct Chat {
    session: Session,
    system: Option<String>,
    /// What was said, question and answer in turn.
    messages: Vec<ChatMessage>,
    options: GenerationOptions,
    interrupt: Interrupt,
}

/// What was written of an answer.
#[derive(Default)]
struct Written {
    text: String,
    /// When the first piece came.
    first: Option<Instant>,
}

impl Chat {
    /// Answers message after message until there are no more.
    fn talk(&mut self, input: &mut impl BufRead) -> anyhow::Result<()> {
        while let Some(message) = self.hear(input)? {
            let command = message
                .strip_prefix('/')
                .filter(|rest| !rest.starts_with('/'));
            match command.map(|command| command.split_once(' ').unwrap_or((command, ""))) {
                None if message.trim().is_empty() => {}
                None => {
                    let escaped = message.strip_prefix('/').unwrap_or(&message);
                    self.answer(escaped)?;
                }
                Some(("quit" | "exit", _)) => break,
                Some(("reset", _)) => {
                    self.messages.clear();
                    screen::dim("the conversation is forgotten");
                }
                Some(("system", text)) => {
                    self.system = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
                    screen::dim(match self.system {
                        Some(_) => "the instructions hold from here on",
                        None => "there are no instructions any more",
                    });
                }
                Some(("help", _)) => screen::dim(HELP),
                Some((other, _)) => screen::dim(format_args!(
                    "there is no /{}; /help shows what there is",
                    other.escape_debug()
                )),
            }
        }
        Ok(())
    }

    /// The next message; `None` when there are no more.
    fn hear(&self, input: &mut impl BufRead) -> anyhow::Result<Option<String>> {
        let mut message = String::new();
        let mut sign = screen::MESSAGE;
        loop {
            screen::prompt(sign);
            let mut line = Vec::new();
            if input
                .read_until(b'\n', &mut line)
                .context("the standard input can't be read")?
                == 0
            {
                return Ok((!message.is_empty()).then_some(message));
            }
            self.interrupt.waiting();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            let Some(begun) = line.strip_suffix('\\') else {
                message.push_str(line);
                return Ok(Some(message));
            };
            message.push_str(begun);
            message.push('\n');
            sign = ".";
        }
    }

    /// Answers a message, and keeps both; a message that can't be answered is not kept.
    fn answer(&mut self, message: &str) -> anyhow::Result<()> {
        self.messages.push(ChatMessage::new(Role::User, message));
        let cancel = Cancel::new();
        self.session.set_cancel(cancel.clone());
        self.interrupt.answering(cancel);
        let mut written = Written::default();
        let finish = self.write(&mut written);
        self.interrupt.waiting();
        if !written.text.is_empty() && !written.text.ends_with('\n') {
            screen::line("");
        }
        let kept = match finish {
            Ok((finish, prompt_tokens)) => {
                self.tell_figures(&written, prompt_tokens);
                self.tell_limits(finish);
                true
            }
            Err(RequestError::Cancelled) => {
                screen::dim("stopped");
                !written.text.is_empty()
            }
            Err(error @ RequestError::ContextExceeded { .. }) => {
                screen::dim(format_args!(
                    "{error}. The message was not taken in; the conversation stands as it was: \
                     write a shorter one, or /reset to begin anew"
                ));
                false
            }
            Err(error @ RequestError::ChatTemplate { .. }) => {
                screen::dim(format_args!("{error}. The message was not taken in"));
                false
            }
            Err(error) => return Err(error.into()),
        };
        if kept {
            let answer = ChatMessage::new(Role::Assistant, written.text);
            self.messages.push(answer);
        } else {
            self.messages.pop();
        }
        Ok(())
    }

    /// Writes the answer to the messages as it comes. Gives back why it ended, and the tokens of
    /// the prompt.
    fn write(&mut self, written: &mut Written) -> Result<(FinishReason, usize), RequestError> {
        let prompt = self.prompt()?;
        let generated = self.session.generate(&prompt, &self.options, |piece| {
            written.first.get_or_insert_with(Instant::now);
            written.text.push_str(piece);
            screen::piece(piece);
            ControlFlow::Continue(())
        })?;
        Ok((generated.finish, prompt.len()))
    }

    fn prompt(&self) -> Result<Vec<TokenId>, RequestError> {
        let model = self.session.model();
        let template: &ChatTemplate =
            model
                .chat_template()
                .ok_or_else(|| RequestError::NoChatTemplate {
                    model: model.name().to_owned(),
                })?;
        let system = self.system.as_ref();
        let system = system.map(|text| ChatMessage::new(Role::System, text));
        let messages: Vec<ChatMessage> = system.into_iter().chain(self.messages.clone()).collect();
        template.encode(model.tokenizer(), &messages)
    }

    fn tell_figures(&self, written: &Written, prompt_tokens: usize) {
        let read_tokens = self.session.tokens().len();
        let context_tokens = self.session.model().config().context_tokens;
        // The last token is chosen and not read, so that these are the steps after the first.
        let steps = read_tokens.saturating_sub(prompt_tokens);
        let seconds = written.first.map(|first| first.elapsed().as_secs_f64());
        let speed = match seconds {
            Some(seconds) if steps > 0 && seconds > 0.0 => {
                format!(", {:.1} tokens/s", steps as f64 / seconds)
            }
            _ => String::new(),
        };
        screen::dim(format_args!(
            "{} tokens{speed}; {} of {} tokens of the context are used",
            count(steps + 1),
            count(read_tokens),
            count(context_tokens)
        ));
    }

    fn tell_limits(&self, finish: FinishReason) {
        let context_tokens = self.session.model().config().context_tokens;
        if finish != FinishReason::Length {
            return;
        }
        if self.session.tokens().len() >= context_tokens {
            screen::dim("the answer ends here because the context is full; /reset begins anew");
        } else {
            screen::dim(format_args!(
                "the answer ends here because it has {} tokens; --max-tokens allows more",
                count(self.options.max_tokens)
            ));
        }
    }
}
