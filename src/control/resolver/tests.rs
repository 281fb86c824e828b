//! Each test runs the resolver against a scripted name server; times are short, rules are the real ones.

use std::net::SocketAddr;

use super::super::dns::DnsSettings;
use super::super::dns_server::{A, AAAA, DnsServer, Reply};
use super::*;
use crate::control::Control;
use crate::control::task::RunningTask;
use crate::shared::log::Log;
use crate::shared::meter::Meter;
use crate::shared::names::{HostLookup, Looked};

const MS: Duration = Duration::from_millis(1);

struct World {
    server: DnsServer,
    names: Names,
    _control: Control,
    _running: RunningTask,
}

fn limits() -> Limits {
    Limits {
        ttl_min: Duration::ZERO,
        ttl_max: 200 * MS,
        failure_ttl: 100 * MS,
        retry_first: 30 * MS,
        retry_last: 60 * MS,
        ..Limits::default()
    }
}

fn world(limits: Limits) -> World {
    let server = DnsServer::start();
    let settings = DnsSettings {
        server: Some(server.address),
        hosts: "/nonexistent/hosts".into(),
        timeout: Some(50 * MS),
        attempts: Some(0),
        ..DnsSettings::default()
    };
    let control = Control::start(Log::silent(), Meter::default()).expect("a thread");
    let dns = Arc::new(Dns::new(settings).expect("usable"));
    let (names, resolver) = resolver(dns, limits);
    let running = control.spawn(Box::new(resolver));
    World { server, names, _control: control, _running: running }
}

/// Runs on a monoio core, as all lookups do.
fn on_core<T>(core: impl AsyncFnOnce() -> T) -> T {
    let runtime = monoio::RuntimeBuilder::<monoio::FusionDriver>::new().enable_timer().build();
    runtime.expect("a driver").block_on(core())
}

async fn first(lookup: &mut HostLookup, host: &str) -> Result<String, LookupError> {
    let found = lookup.look(host).addresses().await?;
    Ok(found.sockets(80).next().expect("never empty").to_string())
}

fn is_known(lookup: &mut HostLookup, host: &str) -> bool {
    matches!(lookup.look(host), Looked::Known(_))
}

async fn pause(time: Duration) {
    monoio::time::sleep(time).await;
}

#[test]
fn a_name_is_asked_for_once_and_then_found_in_the_table() {
    let world = world(Limits::default());
    world.server.ips("db.test", 60, &["10.0.0.1", "fd00::1"]);
    on_core(async || {
        let mut lookup = world.names.lookup();
        let Looked::Asked(asked) = lookup.look("db.test") else { panic!("not known yet") };
        let found = asked.addresses().await.expect("found");
        let sockets: Vec<SocketAddr> = found.sockets(5432).collect();
        let expected =
            ["10.0.0.1:5432", "[fd00::1]:5432"].map(|socket| socket.parse().expect("valid"));
        assert_eq!(sockets, expected);
        for _ in 0..10 {
            assert!(is_known(&mut lookup, "db.test"));
            assert!(is_known(&mut world.names.lookup(), "db.test"), "other cores know it, too");
        }
    });
    assert_eq!((world.server.asked("db.test", A), world.server.asked("db.test", AAAA)), (1, 1));
}

#[test]
fn lookups_of_one_name_at_the_same_time_are_one_question() {
    let world = world(Limits::default());
    world.server.ips("db.test", 60, &["10.0.0.1"]);
    world.server.delay(40 * MS);
    on_core(async || {
        let asked: Vec<_> = (0..50)
            .map(|_| {
                let looked = world.names.lookup().look("db.test");
                monoio::spawn(looked.addresses())
            })
            .collect();
        for asked in asked {
            assert!(asked.await.is_ok());
        }
    });
    assert_eq!(world.server.asked("db.test", A), 1);
}

#[test]
fn a_name_in_use_is_renewed_at_the_end_of_its_ttl_without_anyone_waiting() {
    let world = world(limits());
    world.server.ips("db.test", 60, &["10.0.0.1"]);
    on_core(async || {
        let mut lookup = world.names.lookup();
        assert_eq!(first(&mut lookup, "db.test").await.expect("found"), "10.0.0.1:80");
        world.server.ips("db.test", 60, &["10.0.0.2"]);
        assert_eq!(first(&mut lookup, "db.test").await.expect("found"), "10.0.0.1:80", "not yet");
        for _ in 0..60 {
            pause(10 * MS).await;
            assert!(is_known(&mut lookup, "db.test"), "it never leaves the table");
        }
        assert_eq!(first(&mut lookup, "db.test").await.expect("found"), "10.0.0.2:80");
    });
    let asked = world.server.asked("db.test", A);
    assert!((2..=4).contains(&asked), "600 ms at 200 ms each: {asked}");
}

#[test]
fn the_servers_ttl_counts_between_the_bounds() {
    let world = world(Limits { ttl_max: Duration::from_mins(1), ..limits() });
    world.server.ips("one.test", 1, &["10.0.0.1"]);
    world.server.ips("long.test", 60, &["10.0.0.1"]);
    on_core(async || {
        let mut lookup = world.names.lookup();
        for host in ["one.test", "long.test"] {
            first(&mut lookup, host).await.expect("found");
        }
        for _ in 0..16 {
            pause(100 * MS).await;
            assert!(is_known(&mut lookup, "one.test") && is_known(&mut lookup, "long.test"));
        }
    });
    assert_eq!((world.server.asked("one.test", A), world.server.asked("long.test", A)), (2, 1));
}

#[test]
fn a_name_that_nobody_uses_is_not_renewed() {
    let world = world(limits());
    world.server.ips("db.test", 60, &["10.0.0.1"]);
    on_core(async || {
        let mut lookup = world.names.lookup();
        first(&mut lookup, "db.test").await.expect("found");
        pause(900 * MS).await;
        // Renewed once, because the first lookup is a use; then unused, and taken out.
        assert_eq!(world.server.asked("db.test", A), 2);
        world.server.ips("db.test", 60, &["10.0.0.2"]);
        let Looked::Asked(asked) = lookup.look("db.test") else { panic!("it has left the table") };
        let stale = asked.addresses().await.expect("the last answer, while it is renewed");
        assert_eq!(stale.sockets(80).next().expect("one").to_string(), "10.0.0.1:80");
        pause(50 * MS).await;
        assert_eq!(first(&mut lookup, "db.test").await.expect("found"), "10.0.0.2:80");
    });
}

#[test]
fn an_answer_that_is_too_old_is_not_given_while_it_is_renewed() {
    let world = world(Limits { stale_renewing: 50 * MS, ..limits() });
    world.server.ips("db.test", 60, &["10.0.0.1"]);
    on_core(async || {
        let mut lookup = world.names.lookup();
        first(&mut lookup, "db.test").await.expect("found");
        pause(700 * MS).await;
        world.server.ips("db.test", 60, &["10.0.0.2"]);
        assert_eq!(first(&mut lookup, "db.test").await.expect("found"), "10.0.0.2:80");
    });
}

#[test]
fn a_failed_renewal_keeps_the_old_addresses_for_a_bounded_time() {
    for failure in [Reply::Failure, Reply::Silence] {
        let world = world(Limits { stale_failing: 500 * MS, ..limits() });
        world.server.ips("db.test", 60, &["10.0.0.1"]);
        on_core(async || {
            let mut lookup = world.names.lookup();
            first(&mut lookup, "db.test").await.expect("found");
            world.server.reply("db.test", failure);
            for _ in 0..40 {
                pause(10 * MS).await;
                assert!(is_known(&mut lookup, "db.test"), "200 ms good, 500 ms kept");
            }
            for _ in 0..100 {
                pause(10 * MS).await;
                is_known(&mut lookup, "db.test");
            }
            assert!(first(&mut lookup, "db.test").await.is_err(), "given up");
            world.server.ips("db.test", 60, &["10.0.0.2"]);
            pause(150 * MS).await;
            assert_eq!(first(&mut lookup, "db.test").await.expect("again"), "10.0.0.2:80");
        });
        let asked = world.server.asked("db.test", A);
        assert!((5..60).contains(&asked), "tried again with pauses: {asked}");
    }
}

#[test]
fn a_name_that_is_denied_goes_soon_but_not_at_once() {
    let world = world(Limits { stale_denied: 100 * MS, ..limits() });
    world.server.ips("db.test", 60, &["10.0.0.1"]);
    on_core(async || {
        let mut lookup = world.names.lookup();
        first(&mut lookup, "db.test").await.expect("found");
        world.server.reply("db.test", Reply::NoSuchName);
        for _ in 0..24 {
            pause(10 * MS).await;
            assert!(is_known(&mut lookup, "db.test"), "200 ms good, 100 ms kept");
        }
        pause(300 * MS).await;
        assert_eq!(first(&mut lookup, "db.test").await, Err(LookupError::NoSuchHost));
    });
}

#[test]
fn a_failure_is_told_again_without_a_question_for_a_short_time() {
    let world = world(limits());
    world.server.reply("broken.test", Reply::Failure);
    on_core(async || {
        let mut lookup = world.names.lookup();
        for (host, expected) in
            [("missing.test", LookupError::NoSuchHost), ("broken.test", LookupError::Failed)]
        {
            for _ in 0..5 {
                assert_eq!(first(&mut lookup, host).await, Err(expected));
            }
        }
        assert_eq!(
            (world.server.asked("missing.test", A), world.server.asked("broken.test", A)),
            (1, 1)
        );
        pause(120 * MS).await;
        world.server.ips("missing.test", 60, &["10.0.0.1"]);
        assert_eq!(first(&mut lookup, "missing.test").await.expect("it exists now"), "10.0.0.1:80");
    });
}

#[test]
fn no_answer_is_a_timeout() {
    let world = world(limits());
    world.server.reply("silent.test", Reply::Silence);
    on_core(async || {
        assert_eq!(
            first(&mut world.names.lookup(), "silent.test").await,
            Err(LookupError::Timeout)
        );
    });
}

#[test]
fn names_are_forgotten_when_there_are_too_many() {
    let world = world(Limits { names_max: 3, ..Limits::default() });
    on_core(async || {
        let mut lookup = world.names.lookup();
        for number in 0..6 {
            let host = format!("h{number}.test");
            world.server.ips(&host, 60 + number, &["10.0.0.1"]);
            first(&mut lookup, &host).await.expect("found");
        }
        // The latest first: asking for one that was forgotten brings it back in time, in the place of another.
        let known: Vec<u32> = (0..6)
            .rev()
            .filter(|number| is_known(&mut lookup, &format!("h{number}.test")))
            .collect();
        assert_eq!(known, [5, 4, 3]);
    });
}

#[test]
fn a_name_for_several_machines_is_dialed_in_turn() {
    let world = world(limits());
    world.server.ips("pool.test", 60, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    on_core(async || {
        let mut lookup = world.names.lookup();
        let mut dialed = Vec::new();
        for _ in 0..6 {
            dialed.push(first(&mut lookup, "pool.test").await.expect("found"));
        }
        dialed.sort();
        dialed.dedup();
        assert_eq!(dialed.len(), 3, "{dialed:?}");
    });
}
