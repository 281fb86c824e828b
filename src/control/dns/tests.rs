use super::super::dns_server::{A, AAAA, DnsServer, Reply, SRV};
use super::*;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("shoal-dns-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn settings(server: &DnsServer) -> DnsSettings {
    DnsSettings {
        server: Some(server.address),
        hosts: "/nonexistent/hosts".into(),
        timeout: Some(Duration::from_millis(100)),
        attempts: Some(1),
        ..DnsSettings::default()
    }
}

fn dns(server: &DnsServer) -> Dns {
    Dns::new(settings(server)).expect("usable settings")
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().expect("an address")).collect()
}

#[tokio::test]
async fn both_families_are_asked_for_and_the_shorter_ttl_counts() {
    let server = DnsServer::start();
    server.ips("both.test", 40, &["10.0.0.1", "fd00::1", "10.0.0.2"]);
    let found = dns(&server).addresses("both.test").await.expect("found");
    assert_eq!(found.ips, ips(&["10.0.0.1", "10.0.0.2", "fd00::1"]));
    assert!(
        found.ttl > Duration::from_secs(38) && found.ttl <= Duration::from_secs(40),
        "{:?}",
        found.ttl
    );
    assert_eq!((server.asked("both.test", A), server.asked("both.test", AAAA)), (1, 1));
}

#[tokio::test]
async fn one_family_is_enough() {
    let server = DnsServer::start();
    server.ips("four.test", 40, &["10.0.0.1"]);
    server.ips("six.test", 40, &["fd00::1"]);
    let dns = dns(&server);
    assert_eq!(dns.addresses("four.test").await.expect("found").ips, ips(&["10.0.0.1"]));
    assert_eq!(dns.addresses("six.test").await.expect("found").ips, ips(&["fd00::1"]));
}

#[tokio::test]
async fn nothing_is_kept_between_two_questions() {
    let server = DnsServer::start();
    server.ips("again.test", 3600, &["10.0.0.1"]);
    let dns = dns(&server);
    for _ in 0..3 {
        dns.addresses("again.test").await.expect("found");
        assert!(dns.addresses("never.test").await.is_err());
    }
    assert_eq!((server.asked("again.test", A), server.asked("never.test", A)), (3, 3));
}

#[tokio::test]
async fn the_ways_to_fail_are_told_apart() {
    let server = DnsServer::start();
    server.reply("broken.test", Reply::Failure);
    server.reply("silent.test", Reply::Silence);
    server.ips("empty.test", 40, &[]);
    let dns = dns(&server);
    let table = [
        ("missing.test", LookupError::NoSuchHost),
        ("empty.test", LookupError::NoSuchHost),
        ("broken.test", LookupError::Failed),
        ("silent.test", LookupError::Timeout),
        ("a..b", LookupError::NoSuchHost),
        (&"x".repeat(300), LookupError::NoSuchHost),
    ];
    for (host, expected) in table {
        assert_eq!(dns.addresses(host).await, Err(expected), "{host}");
    }
}

#[tokio::test]
async fn names_with_underscores_capitals_and_other_scripts_are_asked_for() {
    let server = DnsServer::start();
    server.ips("my_service", 40, &["10.0.0.1"]);
    server.ips("upper.test", 40, &["10.0.0.2"]);
    server.ips("xn--mnchen-3ya.test", 40, &["10.0.0.3"]);
    let dns = dns(&server);
    for (host, ip) in
        [("my_service", "10.0.0.1"), ("Upper.TEST", "10.0.0.2"), ("münchen.test", "10.0.0.3")]
    {
        assert_eq!(dns.addresses(host).await.expect(host).ips, ips(&[ip]));
    }
}

#[tokio::test]
async fn localhost_is_known_without_hosts_file_and_name_server() {
    let server = DnsServer::start();
    let found = dns(&server).addresses("localhost").await.expect("found");
    assert_eq!(found.ips, ips(&["127.0.0.1", "::1"]));
    assert_eq!(server.asked("localhost", A), 0);
}

#[tokio::test]
async fn an_entry_of_the_hosts_file_is_the_whole_answer() {
    let folder = Folder::new("hosts");
    let server = DnsServer::start();
    server.ips("db", 40, &["10.0.0.1", "fd00::1"]);
    let hosts = folder.file("hosts", "127.0.0.1 localhost\n10.9.9.9\tdb db.local # ours\n");
    let dns = Dns::new(DnsSettings { hosts, ..settings(&server) }).expect("usable");
    assert_eq!(dns.addresses("db").await, Ok(Found { ips: ips(&["10.9.9.9"]), ttl: HOSTS_TTL }));
    assert_eq!(dns.addresses("DB.local.").await.expect("found").ips, ips(&["10.9.9.9"]));
    assert_eq!(dns.addresses("localhost").await.expect("found").ips, ips(&["127.0.0.1"]));
    assert_eq!(server.asked("db", A) + server.asked("db", AAAA), 0);
}

#[tokio::test]
async fn changed_files_are_read_again() {
    let folder = Folder::new("changed");
    let server = DnsServer::start();
    let hosts = folder.file("hosts", "10.0.0.1 db\n");
    let dns = Dns::new(DnsSettings { hosts: hosts.clone(), ..settings(&server) }).expect("usable");
    assert_eq!(dns.addresses("db").await.expect("found").ips, ips(&["10.0.0.1"]));

    folder.file("hosts", "10.0.0.2 db\n");
    let later = SystemTime::now() + Duration::from_secs(10);
    fs::File::options()
        .write(true)
        .open(&hosts)
        .and_then(|file| file.set_modified(later))
        .expect("touched");
    assert_eq!(
        dns.addresses("db").await.expect("found").ips,
        ips(&["10.0.0.1"]),
        "not looked at yet"
    );
    let past =
        Instant::now().checked_sub(FILES_CHECK_INTERVAL).expect("the clock is not that young");
    dns.current.lock().expect("no panic").checked_at = past;
    assert_eq!(dns.addresses("db").await.expect("found").ips, ips(&["10.0.0.2"]));
}

#[tokio::test]
async fn search_domains_of_resolv_conf_are_tried_for_short_names_only() {
    let folder = Folder::new("search");
    let resolv_conf =
        folder.file("resolv.conf", "nameserver 127.0.0.1\nsearch one.test two.test\n");
    let (config, options) =
        parse_resolv_conf(fs::read(&resolv_conf).expect("a file")).expect("valid");
    assert_eq!(options.ndots, 1);
    let search: Vec<String> = config.search().iter().map(Name::to_ascii).collect();
    assert_eq!(search, ["one.test", "two.test"]);

    // A server on another port cannot be written into a resolv.conf, so its search list is put beside one.
    let server = DnsServer::start();
    server.ips("web.two.test", 40, &["10.0.0.1"]);
    server.ips("a.b", 40, &["10.0.0.2"]);
    let parts =
        ResolverConfig::from_parts(None, config.search().to_vec(), vec![at(server.address)]);
    let provider = TokioRuntimeProvider::default();
    let built = TokioResolver::builder_with_config(parts, provider).with_options(options);
    let dns = dns(&server);
    dns.current.lock().expect("no panic").sources =
        Arc::new(Sources { resolver: built.build().expect("usable"), hosts: Hosts::default() });
    assert_eq!(dns.addresses("web").await.expect("found").ips, ips(&["10.0.0.1"]));
    assert_eq!(dns.addresses("a.b").await.expect("found").ips, ips(&["10.0.0.2"]));
    assert_eq!(dns.addresses("web.").await, Err(LookupError::NoSuchHost), "absolute: not searched");
}

#[tokio::test]
async fn without_a_resolv_conf_the_machine_itself_is_asked() {
    let missing = DnsSettings {
        resolv_conf: "/nonexistent/resolv.conf".into(),
        hosts: "/nonexistent/hosts".into(),
        timeout: Some(Duration::from_millis(50)),
        attempts: Some(0),
        ..DnsSettings::default()
    };
    let dns = Dns::new(missing).expect("usable");
    assert_eq!(dns.addresses("localhost").await.expect("found").ips.len(), 2);
    let (config, _) = without_resolv_conf();
    let servers: Vec<IpAddr> = config.name_servers().iter().map(|server| server.ip).collect();
    assert_eq!(servers, ips(&["127.0.0.1", "::1"]));
}

#[tokio::test]
async fn the_servers_of_a_service_are_found_with_their_weights() {
    let server = DnsServer::start();
    let records = vec![(10, 60, 8080, "a.test"), (20, 0, 9090, "b.test")];
    server.reply("_http._tcp.api.test", Reply::Srv(40, records));
    let found = dns(&server).services("_http._tcp.api.test").await.expect("found");
    let first = Srv { priority: 10, weight: 60, port: 8080, target: "a.test.".into() };
    let second = Srv { priority: 20, weight: 0, port: 9090, target: "b.test.".into() };
    assert_eq!(found, [first, second]);
    assert_eq!(server.asked("_http._tcp.api.test", SRV), 1);
    assert_eq!(server.asked("a.test", SRV) + server.asked("a.test", A), 0);
    assert_eq!(dns(&server).services("_http._tcp.none.test").await, Err(LookupError::NoSuchHost));
}

#[test]
fn a_wrong_server_in_the_environment_is_named() {
    let text = bad_server("dns.test").to_string();
    assert!(text.contains("SHOAL_DNS_SERVER") && text.contains("dns.test"), "{text}");
}
