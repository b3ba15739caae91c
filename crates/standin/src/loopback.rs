//! Addresses of this machine for those who test beside each other.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

/// The first of the ports, all of which lie below those that Linux gives out itself.
const PORT: u16 = 20_000;
/// How many ports are used.
const PORTS: u32 = 10_000;
/// The values of a byte of an address that are neither first nor last.
const BYTES: u32 = 250;

/// An address of this machine that is given to nobody else in this process, and hardly ever in
/// another one that lives at the same time: nothing listens there until the caller does, nor after
/// it has stopped. A free port that was taken and given back may be another's by then.
///
/// Linux answers on all of 127.0.0.0/8; other systems know 127.0.0.1 alone.
#[must_use]
pub fn own_address() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let given = GIVEN.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    let byte = |value: u32| 1 + u8::try_from(value % BYTES).unwrap_or(0);
    let address = Ipv4Addr::new(127, byte(process), byte(given / BYTES), byte(given));
    let port = u16::try_from(process / BYTES % PORTS).unwrap_or(0);
    SocketAddr::from((address, PORT + port))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_address_is_given_twice() {
        let addresses: BTreeSet<SocketAddr> = (0..1_000).map(|_| own_address()).collect();
        assert_eq!(addresses.len(), 1_000);
        assert!(
            addresses
                .iter()
                .all(|it| it.ip().is_loopback() && it.port() >= PORT)
        );
        let listener = std::net::TcpListener::bind(own_address());
        assert!(listener.is_ok(), "{listener:?}");
    }
}
