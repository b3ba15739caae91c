//! A tier with several servers: who is asked, and what happens when one fails.

use std::net::SocketAddr;

use super::{and, asks, document, with};
use crate::server::{Server, attempts, streamed, until};
use crate::vendor::{Manner, Vendor};
use crate::workplace::Workplace;

fn pool(addresses: &[SocketAddr]) -> String {
    let urls: Vec<String> = addresses
        .iter()
        .map(|it| format!("http://{it}/v1"))
        .collect();
    format!("[tiers.pool]\nkind = \"pool\"\nurls = {urls:?}\nmodel = \"standin-1\"\n")
}

fn start<'a>(place: &'a Workplace, addresses: &[SocketAddr]) -> Server<'a> {
    Server::start(place, &with(&["llama"], &pool(addresses), ""))
}

fn vendors(place: &[Workplace; 2]) -> [Vendor; 2] {
    [&place[0], &place[1]].map(|place| Vendor::start(place, &Manner::default()))
}

#[test]
fn every_server_of_a_pool_is_asked_and_what_begins_alike_goes_to_one() {
    let place = Workplace::new();
    let places = [Workplace::new(), Workplace::new()];
    let vendors = vendors(&places);
    let server = start(&place, &[vendors[0].address(), vendors[1].address()]);
    for index in 0..24 {
        let (text, matter) = document(index);
        assert_eq!(server.chat(&asks("tier:pool", &text)).content(), matter);
    }
    let asked = |vendor: &Vendor| vendor.requests();
    assert!(vendors.iter().all(|vendor| asked(vendor) >= 3));
    assert_eq!(vendors.iter().map(asked).sum::<u64>(), 24);
    let before: Vec<u64> = vendors.iter().map(asked).collect();
    for _ in 0..6 {
        server.chat(&asks("tier:pool", &document(0).0)).content();
    }
    let more = vendors
        .iter()
        .zip(before)
        .map(|(vendor, before)| asked(vendor) - before);
    let mut more: Vec<u64> = more.collect();
    more.sort_unstable();
    assert_eq!(more, [0, 6]);
    server.stop();
}

#[test]
fn where_one_server_is_down_the_other_answers_at_once() {
    let place = Workplace::new();
    let vendor_place = Workplace::new();
    let vendor = Vendor::start(&vendor_place, &Manner::default());
    let server = start(&place, &[standin::own_address(), vendor.address()]);
    for index in 0..12 {
        let (text, matter) = document(index);
        let request = asks("tier:pool", &text);
        assert_eq!(server.chat(&request).content(), matter);
        let chunks = server.chat(&and(request, "stream", true)).chunks();
        assert_eq!(streamed(&chunks), matter);
    }
    until("the check has found it out", || {
        server.log().contains("a server is not well")
    });
    server.stop();
}

#[test]
fn a_server_that_is_busy_is_left_for_the_other() {
    let place = Workplace::new();
    let places = [Workplace::new(), Workplace::new()];
    let busy = Manner {
        faults: &["status:429;retry-after=30 every 1"],
        ..Manner::default()
    };
    let busy = Vendor::start(&places[0], &busy);
    let well = Vendor::start(&places[1], &Manner::default());
    let server = start(&place, &[busy.address(), well.address()]);
    for index in 0..8 {
        let (text, matter) = document(index);
        assert_eq!(server.chat(&asks("tier:pool", &text)).content(), matter);
    }
    assert!(busy.requests() >= 1);
    server.stop();
}

#[test]
fn after_the_first_text_no_other_server_is_asked() {
    let place = Workplace::new();
    let places = [Workplace::new(), Workplace::new()];
    let cuts = || Manner {
        faults: &["cut-mid-event every 1"],
        ..Manner::default()
    };
    let vendors = [&places[0], &places[1]].map(|place| Vendor::start(place, &cuts()));
    let server = start(&place, &[vendors[0].address(), vendors[1].address()]);
    let response = server.chat(&and(asks("tier:pool", &document(0).0), "stream", true));
    assert!(
        response.text().contains("tier_unavailable"),
        "{}",
        response.text()
    );
    assert_eq!(vendors.iter().map(Vendor::requests).sum::<u64>(), 1);
    assert_eq!(attempts(&place, &response.id()).len(), 0);
    server.stop();
}

#[test]
fn a_pools_addresses_are_checked_one_by_one() {
    let place = Workplace::new();
    for (tier, words) in [
        ("urls = []", "is empty"),
        (
            "urls = [\"http://127.0.0.1:1/v1\", \"http://10.0.0.7/v1\"]",
            "urls[1]",
        ),
        (
            "url = \"http://127.0.0.1:1/v1\"\nurls = [\"http://127.0.0.1:2/v1\"]",
            "stands beside",
        ),
    ] {
        let tier = format!("[tiers.pool]\nkind = \"pool\"\nmodel = \"m\"\n{tier}\n");
        place.write("tiergate.toml", with(&["llama"], &tier, ""));
        let ran = place.run(&["check-config"]);
        assert_ne!(ran.code, Some(0));
        assert!(ran.err.contains(words), "{ran:?}");
    }
}
