use super::super::dns::DnsSettings;
use super::super::dns_server::{DnsServer, Reply, SRV};
use super::*;
use crate::control::Control;
use crate::shared::log::Log;
use crate::shared::meter::Meter;

const MS: Duration = Duration::from_millis(1);
const SERVICE: &str = "_http._tcp.api.test";

fn record(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
    Srv { priority, weight, port, target: target.into() }
}

fn shown(hosts: &[ServiceHost]) -> Vec<String> {
    hosts.iter().map(|host| format!("{}://{}:{}", host.scheme, host.host, host.port)).collect()
}

/// Worked out by hand from lura's `compact`, `normalize` and `gcd`.
#[test]
fn weights_become_repeats_as_in_the_original() {
    let table: [(&[u16], &[u16]); 14] = [
        (&[], &[]),
        (&[1], &[1]),
        (&[7], &[1]),
        (&[0], &[0]),
        (&[0, 0], &[0, 0]),
        (&[10, 10, 10], &[1, 1, 1]),
        (&[60, 30, 10], &[6, 3, 1]),
        (&[50, 50, 0], &[1, 1, 0]),
        (&[3, 2, 1], &[3, 2, 1]),
        (&[1000, 1], &[1, 0]),
        (&[65535, 65535, 65535], &[1, 1, 1]),
        (&[200, 100], &[2, 1]),
        (&[25, 20, 15, 40, 10], &[22, 18, 13, 36, 9]),
        (&[101], &[1]),
    ];
    for (weights, expected) in table {
        assert_eq!(repeats(weights), expected, "{weights:?}");
    }
}

#[test]
fn more_servers_than_a_hundred_may_stand_in_the_list_once_each() {
    let mut weights = vec![10; 150];
    assert_eq!(repeats(&weights), vec![1; 150]);
    weights[0] = 1500;
    // 1500 + 149 · 10 = 2990; 1500 · 150 / 2990 = 75, 10 · 150 / 2990 = 0.
    let repeats = repeats(&weights);
    assert_eq!((repeats[0], repeats[1..].iter().sum::<u16>()), (1, 0));
}

#[test]
fn only_the_lowest_priority_number_counts_and_the_order_is_fixed() {
    let records = vec![
        record(20, 100, 80, "late."),
        record(10, 1, 80, "b."),
        record(10, 2, 81, "a."),
        record(10, 1, 80, "a."),
        record(10, 1, 79, "b."),
    ];
    let expected = ["http://a.:81", "http://a.:81", "http://a.:80", "http://b.:79", "http://b.:80"];
    assert_eq!(shown(&hosts(records, "")), expected);
    assert_eq!(shown(&hosts(vec![record(0, 5, 443, "s.test.")], "https")), ["https://s.test.:443"]);
    assert!(hosts(Vec::new(), "http").is_empty());
}

#[test]
fn a_list_above_a_hundred_is_shuffled_and_complete() {
    let records: Vec<Srv> = (0..120).map(|number| record(0, 1, number, "a.")).collect();
    let list = hosts(records, "");
    let mut ports: Vec<u16> = list.iter().map(|host| host.port).collect();
    assert!(!ports.is_sorted(), "one chance in 120 factorial");
    ports.sort_unstable();
    assert_eq!(ports, (0..120).collect::<Vec<_>>());
}

#[test]
fn a_time_between_lookups_below_a_second_is_ignored() {
    assert_eq!(ttl(Duration::ZERO), TTL_DEFAULT);
    assert_eq!(ttl(999 * MS), TTL_DEFAULT);
    assert_eq!(ttl(1000 * MS), 1000 * MS);
    assert_eq!(ttl(Duration::from_mins(5)), Duration::from_mins(5));
}

fn start(server: &DnsServer) -> (Control, Service, super::super::task::RunningTask) {
    let dns = Dns::new(DnsSettings {
        server: Some(server.address),
        hosts: "/nonexistent/hosts".into(),
        timeout: Some(100 * MS),
        attempts: Some(0),
        ..DnsSettings::default()
    });
    let settings = SrvSettings { service: SERVICE.into(), scheme: String::new(), ttl: 50 * MS };
    let (service, lookup) = service(Arc::new(dns.expect("usable")), settings);
    let control = Control::start(Log::silent(), Meter::default()).expect("a thread");
    let running = control.spawn(Box::new(lookup));
    (control, service, running)
}

fn wait_for(service: &Service, expected: &[&str]) {
    let start = std::time::Instant::now();
    while shown(&service.hosts.latest()) != expected {
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", shown(&service.hosts.latest()));
        std::thread::sleep(MS);
    }
}

#[test]
fn the_hosts_are_there_when_the_start_has_waited_and_follow_the_records() {
    let server = DnsServer::start();
    server.reply(SERVICE, Reply::Srv(3600, vec![(0, 2, 80, "a.test"), (0, 1, 80, "b.test")]));
    let (_control, service, _running) = start(&server);
    service.wait_first(Duration::from_secs(5));
    let hosts = shown(&service.hosts.latest());
    assert_eq!(hosts, ["http://a.test.:80", "http://a.test.:80", "http://b.test.:80"]);

    server.reply(SERVICE, Reply::Srv(3600, vec![(0, 1, 81, "c.test")]));
    wait_for(&service, &["http://c.test.:81"]);
}

#[test]
fn a_lookup_that_fails_leaves_the_list_as_it_is() {
    let server = DnsServer::start();
    server.reply(SERVICE, Reply::Srv(3600, vec![(0, 1, 80, "a.test")]));
    let (_control, service, _running) = start(&server);
    service.wait_first(Duration::from_secs(5));
    for failure in [Reply::Failure, Reply::NoSuchName, Reply::Silence] {
        let asked = server.asked(SERVICE, SRV);
        server.reply(SERVICE, failure);
        while server.asked(SERVICE, SRV) < asked + 2 {
            std::thread::sleep(MS);
        }
        assert_eq!(shown(&service.hosts.latest()), ["http://a.test.:80"]);
    }
    server.reply(SERVICE, Reply::Srv(3600, vec![(0, 1, 82, "a.test")]));
    wait_for(&service, &["http://a.test.:82"]);
}

#[test]
fn the_start_does_not_wait_longer_than_told_for_a_silent_server() {
    let server = DnsServer::start();
    server.reply(SERVICE, Reply::Silence);
    let (_control, service, _running) = start(&server);
    let start = std::time::Instant::now();
    service.wait_first(20 * MS);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(service.hosts.latest().is_empty());
    server.reply(SERVICE, Reply::Srv(3600, vec![(0, 1, 80, "a.test")]));
    wait_for(&service, &["http://a.test.:80"]);
}
