//! The worker: a process that does nothing but compute what it is asked through its socket, which
//! is its standard input. It ends when the socket does.

mod answers;
mod memory;
mod work;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use llama::{Engine, EngineOptions, LoadOptions, Model, Request, Tenant};

use self::answers::{Line, Lines, News, locked, write};
pub(super) use self::memory::Memory;
use self::work::{Prepared, prepare, refusal};
use super::protocol::{
    About, Asked, CallsAtOnce, FromWorker, Message as _, Source, Start, ToWorker,
};
use super::sandbox;
use crate::signal;
use crate::tier::local::STARTER;

/// `tiergate engine-worker`.
///
/// # Errors
/// When it was not started by the program, or loses its socket while it starts.
pub(crate) fn command() -> anyhow::Result<ExitCode> {
    signal::leave_to_parent()?;
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let mut from = BufReader::new(File::from(socket.try_clone()?));
    let mut to = BufWriter::new(File::from(socket));
    let Some(ToWorker::Start(start)) = ToWorker::receive(&mut from)
        .context("this command is for the program itself; it takes no questions")?
    else {
        anyhow::bail!("the first message is not the one that starts a worker");
    };
    let memory = Memory::of(&start);
    let fits = memory.check(&start);
    let lacking = sandbox::enter(&memory.keeps)?;
    let loaded = fits.map_err(anyhow::Error::from);
    let model = match loaded.and_then(|()| load(&start, &memory)) {
        Ok(model) => Arc::new(model),
        Err(error) => {
            FromWorker::Unloadable(error.to_string()).send(&mut to)?;
            to.flush()?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let engine = Engine::start(Arc::clone(&model), options(&start, &memory, &model))?;
    FromWorker::Ready(about(&model, lacking)).send(&mut to)?;
    to.flush()?;
    serve(engine, start.threads, (from, to))
}

fn load(start: &Start, memory: &Memory) -> anyhow::Result<Model> {
    let options = LoadOptions {
        threads: NonZeroUsize::new(start.threads),
        memory_bytes_max: Some(memory.model_bytes),
        progress: None,
    };
    Ok(match &start.source {
        Source::Starter => Model::from_bytes("starter", STARTER)?,
        Source::File(path) => Model::open_with(path, &options)?,
    })
}

fn options(start: &Start, memory: &Memory, model: &Model) -> EngineOptions {
    let usual = EngineOptions::for_model(model);
    EngineOptions {
        threads: NonZeroUsize::new(start.threads).unwrap_or(NonZeroUsize::MIN),
        queue_max: start.queue_max,
        kv_bytes: match start.kv_bytes {
            Some(bytes) => bytes,
            None => usual.kv_bytes.min(memory.kv_bytes),
        },
        ..usual
    }
}

fn about(model: &Model, lacking: Vec<String>) -> About {
    let template = model.chat_template();
    About {
        model: model.name().to_owned(),
        quantisation: model.quantisation(),
        dimensions: model.config().dim,
        calls: match template.filter(|template| template.names_tools()) {
            None => CallsAtOnce::None,
            Some(template) if template.takes_several_calls() => CallsAtOnce::Several,
            Some(_) => CallsAtOnce::One,
        },
        lacking,
    }
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
    let (lines, model) = (Arc::clone(&desk.lines), Arc::clone(desk.engine.model()));
    let work = Box::new(move || write((&lines, &model), &told, to));
    let _writer = start("engine-writer", work)?;
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
                locked(&self.lines).insert(request.id, Line::of(&request));
                asked.send(*request).map_err(|_| Gone)
            }
            ToWorker::Fetched(id, pieces) => {
                if let Some(line) = locked(&self.lines).get_mut(&id) {
                    line.make_room(pieces);
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

    /// Makes a request into tokens and gives it to the engine, or answers it at once.
    fn take(&self, asked: Asked) {
        let id = asked.id;
        let tenant = Tenant::new(&asked.tenant);
        let tell = |end| {
            // A writer who has gone needs no news.
            let _gone = self.news.send(News::Ended(id, end));
        };
        let work = match prepare(&self.engine, asked.work) {
            Ok(Prepared::Work(work)) => work,
            Ok(Prepared::Done(end)) => return tell(end),
            Err(error) => return tell(refusal(&error.into())),
        };
        let news = self.news.clone();
        let more = move || {
            let _gone = news.send(News::More(id));
        };
        // Held until the answer is in its line, so that the first news of it finds it there.
        let mut lines = locked(&self.lines);
        let Some(line) = lines.get_mut(&id) else {
            return;
        };
        match self.engine.ask_with(Request { tenant, work }, more) {
            Ok(answer) => line.answer = Some(answer),
            Err(refused) => tell(refusal(&refused)),
        }
    }
}
