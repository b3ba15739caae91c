//! The worker: a process that does nothing but compute what it is asked through its socket, which
//! is its standard input. It ends when the socket does.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use llama::{
    Answer, ChatMessage, Engine, EngineOptions, Event, GenerationOptions, LoadOptions, Model,
    ModelError, Outcome, Refused, Request, RequestError, Role, Tenant,
};

use super::protocol::{
    Asked, End, FaultKind, FromWorker, Message as _, Prompt, Source, Start, ToWorker, Usage,
    WINDOW, Work,
};
use super::sandbox::{self, Keeps};
use crate::tier::local::STARTER;

/// Memory beside the model's files, for the program, its buffers and threads.
const BESIDE_BYTES: u64 = 1 << 30;
/// Least memory for keys and values.
const KV_BYTES_MIN: u64 = 1 << 30;

/// `tiergate engine-worker`.
///
/// # Errors
/// When it was not started by the program, or loses its socket while it starts.
pub(crate) fn command() -> anyhow::Result<ExitCode> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let mut from = BufReader::new(File::from(socket.try_clone()?));
    let mut to = BufWriter::new(File::from(socket));
    let Some(ToWorker::Start(start)) = ToWorker::receive(&mut from)
        .context("this command is for the program itself; it takes no questions")?
    else {
        anyhow::bail!("the first message is not the one that starts a worker");
    };
    let memory = Memory::of(&start.source);
    let lacking = sandbox::enter(&memory.keeps)?;
    let model = match load(&start, &memory) {
        Ok(model) => Arc::new(model),
        Err(error) => {
            FromWorker::Unloadable(error.to_string()).send(&mut to)?;
            to.flush()?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let engine = Engine::start(Arc::clone(&model), options(&start, &memory, &model))?;
    let ready = FromWorker::Ready {
        model: model.name().to_owned(),
        quantisation: model.quantisation(),
        lacking,
    };
    ready.send(&mut to)?;
    to.flush()?;
    serve(engine, start.threads, (from, to))
}

/// The memory that a worker may take, from the size of its files alone: they were not looked at.
pub(super) struct Memory {
    pub(super) keeps: Keeps,
    /// Of it, for the model.
    model_bytes: u64,
    /// Of it, for keys and values.
    kv_bytes: u64,
}

impl Memory {
    pub(super) fn of(source: &Source) -> Self {
        let files = match source {
            Source::Starter => Vec::new(),
            Source::File(path) => files(path),
        };
        let size = |file: &PathBuf| std::fs::metadata(file).map_or(0, |about| about.len());
        let files_bytes: u64 = files.iter().map(size).sum();
        let kv_bytes = files_bytes.max(KV_BYTES_MIN);
        // Weights lie in memory as they do in the file, within a sixth; the files' headers are
        // read into memory too, and the vocabulary in them becomes maps.
        let model_bytes = files_bytes + files_bytes / 6 + BESIDE_BYTES;
        let memory_bytes = model_bytes + kv_bytes + BESIDE_BYTES;
        let left = llama::available_memory_bytes().unwrap_or(u64::MAX);
        Self {
            keeps: Keeps {
                files,
                memory_bytes,
            },
            model_bytes: model_bytes.min(left),
            kv_bytes,
        }
    }
}

/// The files of a model of which `path` is the only one or the first.
fn files(path: &Path) -> Vec<PathBuf> {
    let split = || {
        let name = path.file_name()?.to_str()?;
        let (stem, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let count: u32 = count.parse().ok().filter(|count| *count <= 99_999)?;
        let stem = stem.strip_suffix("-00001")?;
        let file = |number| path.with_file_name(format!("{stem}-{number:05}-of-{count:05}.gguf"));
        Some((1..=count).map(file).collect())
    };
    split().unwrap_or_else(|| vec![path.to_owned()])
}

fn load(start: &Start, memory: &Memory) -> Result<Model, ModelError> {
    let options = LoadOptions {
        threads: NonZeroUsize::new(start.threads),
        memory_bytes_max: Some(memory.model_bytes),
        progress: None,
    };
    match &start.source {
        Source::Starter => Model::from_bytes("starter", STARTER),
        Source::File(path) => Model::open_with(path, &options),
    }
}

fn options(start: &Start, memory: &Memory, model: &Model) -> EngineOptions {
    let usual = EngineOptions::for_model(model);
    EngineOptions {
        threads: NonZeroUsize::new(start.threads).unwrap_or(NonZeroUsize::MIN),
        queue_max: start.queue_max,
        kv_bytes: usual.kv_bytes.min(memory.kv_bytes),
        ..usual
    }
}

/// What the writer is told.
enum News {
    /// There may be something to send of this request.
    More(u64),
    /// It was not taken.
    Refused(u64, End),
}

/// A request whose end was not sent.
struct Line {
    /// None until the engine has taken it.
    answer: Option<Answer>,
    /// Pieces of text that may be sent before one is fetched.
    window: usize,
}

/// All requests whose end was not sent.
type Lines = Mutex<HashMap<u64, Line>>;

fn locked(lines: &Lines) -> MutexGuard<'_, HashMap<u64, Line>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the threads of a worker share.
#[derive(Clone)]
struct Desk {
    engine: Arc<Engine>,
    lines: Arc<Lines>,
    news: Sender<News>,
}

/// Answers until the socket ends, and then ends the process.
fn serve(
    engine: Engine,
    threads: usize,
    (mut from, to): (BufReader<File>, BufWriter<File>),
) -> anyhow::Result<ExitCode> {
    /// Requests that wait to be made into tokens.
    const UNPREPARED_MAX: usize = 64;
    let (news, told) = mpsc::channel();
    let desk = Desk {
        engine: Arc::new(engine),
        lines: Arc::default(),
        news,
    };
    let (asked, prepare) = mpsc::sync_channel(UNPREPARED_MAX);
    let prepare = Arc::new(Mutex::new(prepare));
    let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.into()).spawn(work)
    };
    // The threads end with the process.
    let lines = Arc::clone(&desk.lines);
    let _writer = start("engine-writer", Box::new(move || write(&lines, &told, to)))?;
    for _ in 0..threads {
        let (desk, prepare) = (desk.clone(), Arc::clone(&prepare));
        let work = move || {
            while let Some(asked) = next(&prepare) {
                desk.take(asked);
            }
        };
        let _preparer = start("engine-prepare", Box::new(work))?;
    }
    while let Some(message) = ToWorker::receive(&mut from)? {
        if desk.heed(message, &asked).is_err() {
            break;
        }
    }
    // What is being computed is of no use to anyone any more.
    std::process::exit(0);
}

fn next(prepare: &Mutex<Receiver<Asked>>) -> Option<Asked> {
    let prepare = prepare.lock().unwrap_or_else(PoisonError::into_inner);
    prepare.recv().ok()
}

/// One of the threads has gone, or the message is none for a worker at work.
struct Gone;

impl Desk {
    /// Does what the program says.
    fn heed(&self, message: ToWorker, asked: &SyncSender<Asked>) -> Result<(), Gone> {
        match message {
            ToWorker::Ask(request) => {
                let line = Line {
                    answer: None,
                    window: WINDOW,
                };
                locked(&self.lines).insert(request.id, line);
                asked.send(*request).map_err(|_| Gone)
            }
            ToWorker::Fetched(id, pieces) => {
                if let Some(line) = locked(&self.lines).get_mut(&id) {
                    line.window = line.window.saturating_add(pieces).min(WINDOW);
                }
                self.news.send(News::More(id)).map_err(|_| Gone)
            }
            ToWorker::Withdraw(id) => {
                // Its answer, dropped, takes the request out of the engine.
                locked(&self.lines).remove(&id);
                Ok(())
            }
            ToWorker::Start(_) => Err(Gone),
        }
    }

    /// Makes a request into tokens and gives it to the engine.
    fn take(&self, asked: Asked) {
        let id = asked.id;
        let tenant = Tenant::new(&asked.tenant);
        let work = work(self.engine.model(), asked).map_err(Refused::Request);
        let news = self.news.clone();
        let more = move || {
            // A writer who has gone needs no news.
            let _gone = news.send(News::More(id));
        };
        // Held until the answer is in its line, so that the first news of it finds it there.
        let mut lines = locked(&self.lines);
        let Some(line) = lines.get_mut(&id) else {
            return;
        };
        let taken = work.and_then(|work| self.engine.ask_with(Request { tenant, work }, more));
        match taken {
            Ok(answer) => line.answer = Some(answer),
            Err(refused) => {
                let _gone = self.news.send(News::Refused(id, refusal(&refused)));
            }
        }
    }
}

fn work(model: &Model, asked: Asked) -> Result<llama::Work, RequestError> {
    let Asked { prompt, work, .. } = asked;
    match work {
        Work::Score(labels) => {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            let messages = match prompt {
                Prompt::Chat(messages) => messages,
                Prompt::Text { text, .. } => vec![ChatMessage::new(Role::User, text)],
            };
            llama::Work::score_chat(model, &messages, &labels)
        }
        Work::Write {
            max_tokens,
            temperature,
            seed,
            stop,
            rules,
            streams,
        } => {
            let options = GenerationOptions {
                max_tokens,
                temperature,
                seed,
                stop,
            };
            let work = match prompt {
                Prompt::Chat(messages) => llama::Work::write_chat(model, &messages, options)?,
                Prompt::Text { text, suffix } => {
                    llama::Work::continue_text(model, (&text, suffix.as_deref()), options)?
                }
            };
            let work = work.by(rules);
            Ok(if streams { work.streamed() } else { work })
        }
    }
}

fn refusal(refused: &Refused) -> End {
    match refused {
        Refused::Full { wait } => End::Busy {
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        },
        Refused::Request(error) => failure(error),
        other => End::Failed {
            fault: FaultKind::Engine,
            message: other.to_string(),
        },
    }
}

fn failure(error: &RequestError) -> End {
    let fault = match error {
        RequestError::ContextExceeded { .. }
        | RequestError::MemoryExceeded { .. }
        | RequestError::Grammar { .. }
        | RequestError::NoGapTokens { .. }
        | RequestError::EmptyPrompt => FaultKind::Request,
        _ => FaultKind::Engine,
    };
    End::Failed {
        fault,
        message: error.to_string(),
    }
}

/// Writes answers until nobody is left who tells of any, or the socket ends.
fn write(lines: &Lines, told: &Receiver<News>, mut to: BufWriter<File>) {
    loop {
        let news = match told.try_recv() {
            Ok(news) => news,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                // What was written goes out before this thread waits.
                if to.flush().is_err() {
                    return;
                }
                match told.recv() {
                    Ok(news) => news,
                    Err(_) => return,
                }
            }
        };
        let sent = match news {
            News::More(id) => send(lines, id, &mut to),
            News::Refused(id, end) => match locked(lines).remove(&id) {
                Some(_line) => FromWorker::End(id, end).send(&mut to),
                None => Ok(()),
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Sends what there is of a request and may be sent.
fn send(lines: &Lines, id: u64, to: &mut BufWriter<File>) -> io::Result<()> {
    loop {
        let event = locked(lines).get_mut(&id).and_then(Line::next);
        match event {
            None => return Ok(()),
            Some(Event::Text(piece)) => FromWorker::Text(id, piece).send(to)?,
            Some(Event::End(result)) => {
                locked(lines).remove(&id);
                return FromWorker::End(id, end(result)).send(to);
            }
        }
    }
}

impl Line {
    /// What may be sent now, if anything.
    fn next(&mut self) -> Option<Event> {
        if self.window == 0 {
            return None;
        }
        let event = self.answer.as_mut()?.try_next()?;
        self.window -= usize::from(matches!(event, Event::Text(_)));
        Some(event)
    }
}

fn end(result: Result<llama::Answered, RequestError>) -> End {
    let answered = match result {
        Ok(answered) => answered,
        Err(error) => return failure(&error),
    };
    let usage = Usage {
        prompt: answered.prompt_tokens as u64,
        cached: answered.cached_tokens as u64,
    };
    match answered.outcome {
        Outcome::Scored(log_probabilities) => End::Scored {
            log_probabilities,
            usage,
        },
        Outcome::Written(written) => End::Written {
            text: written.text,
            log_probabilities: written.log_probabilities,
            finish: written.finish,
            usage,
        },
        Outcome::Embedded(_) => End::Failed {
            fault: FaultKind::Engine,
            message: "an embedding came of a request for text".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_models_files_are_all_of_them() {
        let of = |name: &str| files(Path::new(name));
        assert_eq!(of("/m/a.gguf"), [Path::new("/m/a.gguf")]);
        assert_eq!(
            of("/m/a-00001-of-00002.gguf"),
            [
                Path::new("/m/a-00001-of-00002.gguf"),
                Path::new("/m/a-00002-of-00002.gguf")
            ]
        );
        assert_eq!(of("/m/a-00002-of-00002.gguf").len(), 1);
    }
}
