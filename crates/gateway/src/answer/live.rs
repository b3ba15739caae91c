//! An answer that is shown while it is being written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::{StreamEvent, TierName};
use tokio::sync::mpsc;

/// What is told while an answer is being written.
#[derive(Debug)]
pub(crate) enum Said {
    /// This tier writes now, and what it writes will be the answer.
    Asks(TierName),
    /// What it writes; its end is told with the answer.
    Event(StreamEvent),
}

/// Where it is told.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    reader: mpsc::Sender<Said>,
    begun: Arc<AtomicBool>,
}

impl Live {
    /// Nothing was told yet.
    pub(crate) fn new(reader: mpsc::Sender<Said>) -> Self {
        Self {
            reader,
            begun: Arc::default(),
        }
    }

    /// Whether something was shown: then no other tier's answer may follow.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Tells who writes. A reader who has gone away drops the whole request, so that nothing is
    /// left to be done about it here.
    pub(crate) async fn asks(&self, tier: &TierName) {
        let _gone = self.reader.send(Said::Asks(tier.clone())).await;
    }

    /// Tells what is written, when there is room for it.
    pub(crate) async fn say(&self, event: StreamEvent) {
        self.begins(&event);
        let _gone = self.reader.send(Said::Event(event)).await;
    }

    /// Ends when the reader, though not gone, has made no room for so long: whoever writes would
    /// wait for it for ever. While it makes room this never ends.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub(crate) async fn stalled(&self, patience: Duration) {
        loop {
            match tokio::time::timeout(patience, self.reader.reserve()).await {
                Err(_elapsed) => return,
                Ok(Err(_gone)) => std::future::pending().await,
                Ok(Ok(room)) => {
                    // Who writes may need it meanwhile.
                    drop(room);
                    tokio::time::sleep(patience).await;
                }
            }
        }
    }

    fn begins(&self, event: &StreamEvent) {
        if event.is_output() {
            self.begun.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> StreamEvent {
        StreamEvent::Text(text.to_owned())
    }

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_takes_nothing_is_given_up() {
        let (reader, mut said) = mpsc::channel(1);
        let live = Live::new(reader);
        live.say(text("a")).await;
        let start = tokio::time::Instant::now();
        live.stalled(PATIENCE).await;
        assert_eq!(start.elapsed(), PATIENCE);
        assert!(matches!(said.recv().await, Some(Said::Event(event)) if event == text("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_is_slow_or_has_nothing_to_read_is_not() {
        let (reader, mut said) = mpsc::channel(1);
        let live = Live::new(reader);
        let write_and_read = async {
            live.say(text("a")).await;
            for _ in 0..4 {
                tokio::time::sleep(PATIENCE / 2).await;
                assert!(said.recv().await.is_some());
                live.say(text("b")).await;
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
    async fn who_watches_the_reader_takes_no_room() {
        let (reader, _said) = mpsc::channel(1);
        let live = Live::new(reader);
        let start = tokio::time::Instant::now();
        tokio::select! {
            biased;
            () = live.stalled(PATIENCE) => panic!("it was given up"),
            () = live.say(text("a")) => {}
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_shows_nothing_begins_nothing() {
        let (reader, _said) = mpsc::channel(4);
        let live = Live::new(reader);
        live.say(StreamEvent::PartEnd(None)).await;
        assert!(!live.has_begun());
        live.say(text("a")).await;
        assert!(live.has_begun());
    }
}
