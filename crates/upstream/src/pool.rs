//! Several servers of one model: which of them is asked.
//!
//! A server that has read a prompt's beginning keeps it in its cache, so that a prompt which begins
//! alike is best put to the same server, as long as that has not much more to do than the others:
//! rendezvous hashing (Thaler and Ravishankar 1998) of the prompt's first bytes, with the bound on
//! each server's load of Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded
//! loads" (2018).

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::{Prompt, Protocol};
use futures_util::future::join_all;
use wire::embedding::{EmbeddingRequest, EmbeddingText};

use crate::client::Client;
use crate::retry::{RetrySchedule, SplitMix64};

/// How much of a prompt's beginning decides which server is preferred, in bytes. A task's
/// instruction is usually this long, and prompts of one conversation agree on it.
const PREFIX_BYTES: usize = 1024;
/// A server takes no more than this share above the mean of what is under way: 5/4.
const LOAD_BOUND: (usize, usize) = (5, 4);
/// How often each server is asked whether it is well.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Servers that can stand in for each other. Cheap to clone; clones share what is known of them.
#[derive(Clone)]
pub struct Pool {
    members: Arc<[Member]>,
}

struct Member {
    client: Client,
    /// What the prompt's beginning is mixed with.
    salt: u64,
    in_flight: AtomicUsize,
    is_well: AtomicBool,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = self.members.iter().map(|member| &member.client);
        f.debug_list().entries(clients).finish()
    }
}

/// What the beginning of a request comes to: requests that begin alike have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix(u64);

/// The server that was chosen for an attempt. It counts as at work on it until this is dropped.
pub struct Chosen<'p> {
    member: &'p Member,
    /// Its place among the pool's servers.
    pub place: usize,
}

impl Deref for Chosen<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.member.client
    }
}

impl Drop for Chosen<'_> {
    fn drop(&mut self) {
        self.member.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// The pool of this server and others of the same model and protocol.
    #[must_use]
    pub fn new(first: Client, others: Vec<Client>) -> Self {
        let clients = std::iter::once(first).chain(others);
        let member = |client: Client| Member {
            salt: hash(client.host().as_bytes()),
            client,
            in_flight: AtomicUsize::new(0),
            is_well: AtomicBool::new(true),
        };
        Self {
            members: clients.map(member).collect(),
        }
    }

    /// How many servers there are; at least one.
    #[must_use]
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// The protocol in which they are asked.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.members[0].client.protocol()
    }

    /// Most texts that one attempt may ask for vectors of; see [`Client::texts_max`].
    #[must_use]
    pub fn texts_max(&self) -> usize {
        self.members[0].client.texts_max()
    }

    /// The plan of a new request's attempts; see [`Client::schedule`].
    #[must_use]
    pub fn schedule(&self) -> RetrySchedule {
        self.members[0].client.schedule()
    }

    /// The server for the next attempt: of those that are well, rest from no failures and have
    /// not much more to do than the others, the one that requests with this beginning prefer.
    /// Servers at the places in `failed` come last, since they have failed this request.
    #[must_use]
    pub fn choose(&self, prefix: Prefix, failed: &[usize]) -> Chosen<'_> {
        let place = match self.members.len() {
            1 => 0,
            _ => self.best(prefix, failed),
        };
        let member = &self.members[place];
        member.in_flight.fetch_add(1, Ordering::Relaxed);
        Chosen { member, place }
    }

    fn best(&self, Prefix(prefix): Prefix, failed: &[usize]) -> usize {
        let load = |place: &usize| self.members[*place].in_flight.load(Ordering::Relaxed);
        let all: Vec<usize> = (0..self.members.len()).collect();
        let fresh = || all.iter().copied().filter(|place| !failed.contains(place));
        let usable: Vec<usize> = fresh()
            .filter(|&place| self.members[place].is_usable())
            .collect();
        let candidates = match usable.is_empty() {
            false => usable,
            // Nobody is known to be well: the next may have recovered.
            true if failed.len() < all.len() => fresh().collect(),
            true => all,
        };
        let total: usize = candidates.iter().map(load).sum();
        let (share, of) = LOAD_BOUND;
        let most = ((total + 1) * share).div_ceil(of * candidates.len());
        let preference = |place: &usize| SplitMix64(prefix ^ self.members[*place].salt).next();
        let within = candidates.iter().filter(|place| load(place) < most);
        // The bound is above the mean, so that somebody is within it, unless loads have just
        // changed.
        let best = within.max_by_key(|place| preference(place));
        let idlest = || candidates.iter().min_by_key(|place| load(place));
        best.or_else(idlest).copied().unwrap_or(0)
    }

    /// Asks the servers for ever, again and again, whether they are well. A pool of one is not
    /// asked: there is nobody to choose instead.
    ///
    /// # Cancel safety
    /// Dropping the future ends it.
    pub async fn watch(&self) {
        if self.members.len() == 1 {
            return;
        }
        loop {
            join_all(self.members.iter().map(Member::check)).await;
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }
}

impl Member {
    fn is_usable(&self) -> bool {
        self.is_well.load(Ordering::Relaxed) && !self.client.is_resting()
    }

    async fn check(&self) {
        let is_well = self.client.is_well().await;
        let was_well = self.is_well.swap(is_well, Ordering::Relaxed);
        let host = self.client.host();
        match (was_well, is_well) {
            (true, false) => tracing::warn!(upstream.host = host, "a server is not well"),
            (false, true) => tracing::info!(upstream.host = host, "a server is well again"),
            _ => {}
        }
    }
}

/// A hash of a prompt's beginning. A picture counts by the text around it.
impl From<&Prompt> for Prefix {
    fn from(prompt: &Prompt) -> Self {
        let mut bytes = Vec::with_capacity(PREFIX_BYTES);
        for message in &prompt.messages {
            let text = message.text();
            let room = PREFIX_BYTES - bytes.len();
            bytes.extend_from_slice(&text.as_bytes()[..text.len().min(room)]);
            if bytes.len() == PREFIX_BYTES {
                break;
            }
        }
        Self(hash(&bytes))
    }
}

/// No server has anything of such texts in its cache, and so this only spreads them.
impl From<&EmbeddingRequest> for Prefix {
    fn from(request: &EmbeddingRequest) -> Self {
        Self(match request.texts.first() {
            Some(EmbeddingText::Plain(text)) => {
                hash(&text.as_bytes()[..text.len().min(PREFIX_BYTES)])
            }
            Some(EmbeddingText::Tokens(tokens)) => {
                let bytes = tokens.iter().flat_map(|token| token.to_le_bytes());
                hash(&bytes.take(PREFIX_BYTES).collect::<Vec<u8>>())
            }
            None => 0,
        })
    }
}

/// FNV-1a of 64 bits: the same in each process, so that gateways beside each other agree.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use domain::{Message, Role};

    use super::*;
    use crate::{Egress, EgressOptions, Endpoint, EndpointOptions};

    fn pool(size: usize) -> Pool {
        let egress = Egress::new(&EgressOptions::default()).unwrap();
        let client = |place| {
            let options = EndpointOptions::new(format!("https://h{place}.example/v1"), "m");
            Client::new(&egress, Endpoint::new(options).unwrap())
        };
        Pool::new(client(0), (1..size).map(client).collect())
    }

    fn prompt(text: &str) -> Prefix {
        Prefix::from(&Prompt::new(vec![Message::new(Role::User, text)]))
    }

    #[test]
    fn what_begins_alike_goes_to_the_same_server_while_there_is_room() {
        let pool = pool(4);
        let long = "x".repeat(PREFIX_BYTES);
        let first = pool.choose(prompt(&format!("{long}a")), &[]).place;
        for text in ["b", "c", "d"] {
            assert_eq!(
                pool.choose(prompt(&format!("{long}{text}")), &[]).place,
                first
            );
        }
        let mut met = [false; 4];
        for number in 0..64 {
            met[pool.choose(prompt(&format!("text {number}")), &[]).place] = true;
        }
        assert_eq!(met, [true; 4], "others go elsewhere");
    }

    #[test]
    fn no_server_has_much_more_to_do_than_the_others() {
        let pool = pool(3);
        let mut under_way = Vec::new();
        for _ in 0..120 {
            under_way.push(pool.choose(prompt("the same"), &[]));
        }
        for place in 0..3 {
            let count = under_way.iter().filter(|it| it.place == place).count();
            assert!((20..=51).contains(&count), "{count} at {place}");
        }
        drop(under_way);
        let loads = pool
            .members
            .iter()
            .map(|it| it.in_flight.load(Ordering::Relaxed));
        assert_eq!(loads.sum::<usize>(), 0);
    }

    #[test]
    fn who_failed_or_is_not_well_is_asked_last() {
        let pool = pool(3);
        let first = pool.choose(prompt("x"), &[]).place;
        let second = pool.choose(prompt("x"), &[first]).place;
        assert_ne!(first, second);
        let third = pool.choose(prompt("x"), &[first, second]).place;
        assert!(third != first && third != second);
        assert_eq!(
            pool.choose(prompt("x"), &[first, second, third]).place,
            first
        );
        pool.members[first].is_well.store(false, Ordering::Relaxed);
        assert_ne!(pool.choose(prompt("x"), &[]).place, first);
        for member in pool.members.iter() {
            member.is_well.store(false, Ordering::Relaxed);
        }
        assert_eq!(pool.choose(prompt("x"), &[]).place, first);
    }
}
