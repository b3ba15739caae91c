//! An answer that is shown while it is being written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::{StreamEvent, TierName};
use tokio::sync::{Semaphore, mpsc};

/// Most bytes of events that wait for a slow reader; then whoever writes waits for it too. An event
/// that has more waits alone. It is some thousands of tokens, more than most answers have, so that a
/// reader who is slow for a moment holds up nobody.
const WAITING_BYTES_MAX: usize = 512 << 10;

/// What is told while an answer is being written.
#[derive(Debug)]
pub(crate) enum Said {
    /// This tier writes now, and what it writes will be the answer.
    Asks(TierName),
    /// What it writes; its end is told with the answer.
    Event(StreamEvent),
}

impl Said {
    /// What it takes up while it waits; at most [`WAITING_BYTES_MAX`].
    fn room(&self) -> u32 {
        let more = match self {
            Self::Asks(_) => 0,
            Self::Event(event) => event.size_bytes(),
        };
        let room = (size_of::<Self>() + more).min(WAITING_BYTES_MAX);
        u32::try_from(room).unwrap_or(u32::MAX)
    }
}

/// Where it is told.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    reader: mpsc::UnboundedSender<Said>,
    state: Arc<State>,
}

/// What both ends know.
#[derive(Debug)]
struct State {
    /// The bytes that there is room for; closed when nobody listens any more.
    room: Semaphore,
    /// Whether something was shown.
    begun: AtomicBool,
    /// How often something was taken.
    taken: AtomicU64,
}

/// Where it is heard. Who drops it is gone.
#[derive(Debug)]
pub(crate) struct Listener {
    said: mpsc::UnboundedReceiver<Said>,
    state: Arc<State>,
}

impl Live {
    /// A place of which nothing was told yet, and where that is heard.
    pub(crate) fn new() -> (Self, Listener) {
        // What it holds is bounded by the room.
        let (reader, said) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            room: Semaphore::new(WAITING_BYTES_MAX),
            begun: AtomicBool::new(false),
            taken: AtomicU64::new(0),
        });
        let listener = Listener {
            said,
            state: Arc::clone(&state),
        };
        (Self { reader, state }, listener)
    }

    /// Whether something was shown: then no other tier's answer may follow.
    pub(crate) fn has_begun(&self) -> bool {
        self.state.begun.load(Ordering::Acquire)
    }

    /// Tells who writes. A reader who has gone away drops the whole request, so that nothing is
    /// left to be done about it here.
    pub(crate) async fn asks(&self, tier: &TierName) {
        self.tell(Said::Asks(tier.clone())).await;
    }

    /// Tells what is written, when there is room for it.
    pub(crate) async fn say(&self, event: StreamEvent) {
        if event.is_output() {
            self.state.begun.store(true, Ordering::Release);
        }
        self.tell(Said::Event(event)).await;
    }

    async fn tell(&self, said: Said) {
        if let Ok(room) = self.state.room.acquire_many(said.room()).await {
            // The listener gives it back.
            room.forget();
            let _gone = self.reader.send(said);
        }
    }

    /// Ends when the reader, though not gone, has taken nothing for so long while somebody waited for
    /// room: whoever writes would wait for it for ever. While it takes something this never ends.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub(crate) async fn stalled(&self, patience: Duration) {
        loop {
            let before = self.state.taken.load(Ordering::Relaxed);
            match tokio::time::timeout(patience, self.state.room.acquire()).await {
                Err(_elapsed) if self.state.taken.load(Ordering::Relaxed) == before => return,
                // It takes, though there is no room yet for what is next.
                Err(_elapsed) => {}
                Ok(Err(_gone)) => std::future::pending().await,
                Ok(Ok(room)) => {
                    // Who writes may need it meanwhile.
                    drop(room);
                    tokio::time::sleep(patience).await;
                }
            }
        }
    }
}

impl Listener {
    /// What is told next; `None` when nobody is left who could tell anything.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn recv(&mut self) -> Option<Said> {
        let said = self.said.recv().await?;
        self.state.taken.fetch_add(1, Ordering::Relaxed);
        self.state.room.add_permits(said.room() as usize);
        Some(said)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Nobody waits for room any more.
        self.state.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> StreamEvent {
        StreamEvent::Text(text.to_owned())
    }

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A text for which there is only room when nothing else waits.
    fn large() -> StreamEvent {
        text(&"x".repeat(WAITING_BYTES_MAX))
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_takes_nothing_is_given_up() {
        let (live, mut said) = Live::new();
        live.say(large()).await;
        let start = tokio::time::Instant::now();
        live.stalled(PATIENCE).await;
        assert_eq!(start.elapsed(), PATIENCE);
        assert!(matches!(said.recv().await, Some(Said::Event(event)) if event == large()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_is_slow_or_has_nothing_to_read_is_not() {
        let (live, mut said) = Live::new();
        let write_and_read = async {
            live.say(large()).await;
            for _ in 0..4 {
                tokio::time::sleep(PATIENCE / 2).await;
                assert!(said.recv().await.is_some());
                live.say(large()).await;
            }
            assert!(said.recv().await.is_some());
            tokio::time::sleep(PATIENCE * 3).await;
        };
        tokio::select! {
            () = write_and_read => {}
            () = live.stalled(PATIENCE) => panic!("it was given up"),
        }
        // Who is gone is told by other means.
        drop(said);
        let waited = tokio::time::timeout(PATIENCE * 3, live.stalled(PATIENCE)).await;
        assert!(waited.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_takes_little_at_a_time_makes_room_for_much_in_the_end() {
        let (live, mut said) = Live::new();
        let piece = || text(&"x".repeat(WAITING_BYTES_MAX / 8));
        let read = async {
            for _ in 0..8 {
                tokio::time::sleep(PATIENCE / 2).await;
                assert!(said.recv().await.is_some());
            }
        };
        let write = async {
            for _ in 0..7 {
                live.say(piece()).await;
            }
            live.say(large()).await;
        };
        tokio::select! {
            _both = async { tokio::join!(read, write) } => {}
            () = live.stalled(PATIENCE) => panic!("it was given up"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_watches_the_reader_takes_no_room() {
        let (live, _said) = Live::new();
        let start = tokio::time::Instant::now();
        tokio::select! {
            biased;
            () = live.stalled(PATIENCE) => panic!("it was given up"),
            () = live.say(large()) => {}
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_bounded_by_its_bytes_and_comes_in_order() {
        let (live, mut said) = Live::new();
        let pieces = |bytes: usize| text(&"x".repeat(bytes));
        for bytes in [1, 1_000, 100_000, 10 * WAITING_BYTES_MAX] {
            let waiting = async {
                let mut told = 0_usize;
                let write = async {
                    loop {
                        live.say(pieces(bytes)).await;
                        told += 1;
                    }
                };
                let _full = tokio::time::timeout(PATIENCE, write).await;
                told
            };
            let told = waiting.await;
            let largest = WAITING_BYTES_MAX.max(bytes);
            assert!(told >= 1 && told * bytes <= largest, "{told} of {bytes}");
            let mut heard = 0;
            while let Ok(Some(event)) = tokio::time::timeout(PATIENCE, said.recv()).await {
                assert!(matches!(event, Said::Event(event) if event == pieces(bytes)));
                heard += 1;
            }
            assert_eq!(heard, told, "of {bytes} bytes");
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_room_when_the_reader_is_gone() {
        let (live, said) = Live::new();
        live.say(large()).await;
        tokio::join!(live.say(large()), async { drop(said) });
    }

    #[tokio::test]
    async fn what_shows_nothing_begins_nothing() {
        let (live, _said) = Live::new();
        live.say(StreamEvent::PartEnd(None)).await;
        assert!(!live.has_begun());
        live.say(text("a")).await;
        assert!(live.has_begun());
    }
}
