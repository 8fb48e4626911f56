//! A network that loses, delays or cuts off what one region says: the answer says so in time, and what is
//! there of it is whole or not shown.
//!
//! Each story runs itself once more within a network namespace of its own, where the loopback device can
//! be made to misbehave for the packets of one hub, and names lead where it says. That needs root and
//! `tc`.

use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::kit::{READY_TIME_MAX, eventually, in_mode};
use crate::silence::{
    Cluster, DEADLINE_MS, GRACE_MS, assert_named, assert_partial, federation, told,
};

/// Set for the run within the namespace.
const WITHIN: &str = "STORY_WITHIN_ITS_OWN_NETWORK";
/// Where BPF reads a number by chance, the ports of a TCP segment over IPv4, and what it answers: see
/// `linux/filter.h` and `linux/pkt_cls.h`.
const CHANCE: u32 = 0xffff_f038;
const FROM_PORT: u32 = 0xfff0_0000 + 20;
const TO_PORT: u32 = FROM_PORT + 2;
const DROP: u32 = 2;
const GO_ON: u32 = u32::MAX;
/// The region that is hard to reach.
const FAR: usize = 1;
/// As many Observations of the region as take longer than the deadline at [`SLOW`].
const MANY: usize = 60;
const SLOW: &str = "64kbit";

/// Runs the story that calls it within a namespace; whether this is that run.
fn within_its_own_network(name: &str) -> bool {
    if std::env::var_os(WITHIN).is_some() {
        assert!(run("ip", "link set lo up mtu 1500"), "the namespace has no loopback device");
        return true;
    }
    if !run("unshare", "--net ip link set lo up") || !run("tc", "-Version") {
        eprintln!("skipped: a network of its own needs root, unshare, ip and tc");
        return false;
    }
    let mut again = Command::new("unshare");
    again.args(["--net", "--mount"]).arg(std::env::current_exe().unwrap());
    again.args(["--exact", &format!("network::{name}"), "--nocapture"]).env(WITHIN, "1");
    let output = again.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

fn run(program: &str, arguments: &str) -> bool {
    let mut command = Command::new(program);
    command.args(arguments.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Has each packet that leaves the loopback device looked at.
fn filter(program: &[[u32; 4]]) {
    let text: Vec<_> = program.iter().map(|[a, b, c, d]| format!("{a} {b} {c} {d}")).collect();
    let code = format!("{},{}", program.len(), text.join(","));
    assert!(run("tc", "qdisc replace dev lo clsact"), "tc refuses");
    let mut tc = Command::new("tc");
    tc.args("filter replace dev lo egress handle 1 pref 1 protocol ip bpf da bytecode".split(' '));
    assert!(tc.arg(&code).status().unwrap().success(), "tc refuses {code}");
}

/// Drops everything that a port says, and nothing that is said to it.
fn silence(port: u16) {
    let port = u32::from(port);
    filter(&[[40, 0, 0, FROM_PORT], [21, 0, 1, port], [6, 0, 0, DROP], [6, 0, 0, GO_ON]]);
}

/// Drops so many of a hundred packets to and from a port.
fn lose(percent: u32, port: u16) {
    let (port, bound) = (u32::from(port), u32::MAX / 100 * percent);
    filter(&[
        [40, 0, 0, FROM_PORT],
        [21, 2, 0, port],
        [40, 0, 0, TO_PORT],
        [21, 0, 3, port],
        [32, 0, 0, CHANCE],
        [53, 1, 0, bound],
        [6, 0, 0, DROP],
        [6, 0, 0, GO_ON],
    ]);
}

fn heal() {
    assert!(run("tc", "qdisc del dev lo clsact"), "tc refuses");
}

/// The cluster, and the port of the hub that is far.
async fn cluster() -> (Cluster, u16) {
    let cluster = Cluster::start().await;
    let hub = cluster.place.hub(FAR);
    let port = hub.rsplit(':').next().and_then(|rest| rest.split('/').next());
    let port = port.and_then(|port| port.parse().ok()).expect("a hub's URL has a port");
    (cluster, port)
}

fn far(bundle: &Value) -> usize {
    let ods = format!("/at/{}/", crate::kit::REGIONS[FAR].0);
    let of_far = |entry: &Value| entry["fullUrl"].as_str().unwrap_or_default().contains(&ods);
    in_mode(bundle, "match").iter().filter(|entry| of_far(entry)).count()
}

async fn is_whole_again(cluster: &Cluster) {
    eventually("everything is back", READY_TIME_MAX, async || {
        let answer = cluster.ask(0).await;
        (answer.header("x-federation-complete") == "true").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_hears_and_is_not_heard_is_named_at_the_deadline() {
    if !within_its_own_network("a_region_that_hears_and_is_not_heard_is_named_at_the_deadline") {
        return;
    }
    let (cluster, port) = cluster().await;
    silence(port);
    // First over connections that are open, then over none.
    for _ in 0..3 {
        let answer = cluster.ask_in_time(&cluster.place.gateway(0)).await;
        let told = told(&assert_partial(&answer));
        assert_eq!((told.len(), far(&answer.json())), (1, 0), "{told:?}");
        assert!(told[0].2.contains(crate::kit::REGIONS[FAR].0), "{told:?}");
    }
    heal();
    is_whole_again(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_loses_a_fifth_makes_an_answer_late_or_partial_and_never_wrong() {
    if !within_its_own_network(
        "a_network_that_loses_a_fifth_makes_an_answer_late_or_partial_and_never_wrong",
    ) {
        return;
    }
    let (cluster, port) = cluster().await;
    lose(20, port);
    let (mut whole, mut partial) = (0, 0);
    for _ in 0..20 {
        let answer = cluster.ask_in_time(&cluster.place.gateway(0)).await;
        if answer.header("x-federation-complete") == "true" {
            assert_eq!(answer.json()["total"], 6);
            whole += 1;
        } else {
            assert_partial(&answer);
            assert_eq!(far(&answer.json()), 0, "a region that is missing is shown in part");
            partial += 1;
        }
    }
    eprintln!("{whole} whole, {partial} partial");
    assert!(whole > 0, "a fifth of the packets took everything");
    heal();
    is_whole_again(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_behind_a_thin_line_is_named_and_nothing_of_it_is_shown() {
    if !within_its_own_network("a_region_behind_a_thin_line_is_named_and_nothing_of_it_is_shown") {
        return;
    }
    let (cluster, port) = cluster().await;
    cluster.add(FAR, MANY).await;
    assert_eq!(far(&cluster.ask(0).await.json()), MANY + 2);
    for command in [
        "qdisc add dev lo root handle 1: htb default 1",
        "class add dev lo parent 1: classid 1:1 htb rate 10gbit",
        &format!("class add dev lo parent 1: classid 1:2 htb rate {SLOW} burst 1600"),
        &format!(
            "filter add dev lo parent 1: protocol ip u32 match ip sport {port} 0xffff flowid 1:2"
        ),
    ] {
        assert!(run("tc", command), "tc refuses {command}");
    }
    let asked = Instant::now();
    let answer = cluster.ask_in_time(&cluster.place.gateway(0)).await;
    let told = told(&assert_partial(&answer));
    assert!(asked.elapsed() + Duration::from_millis(GRACE_MS) > Duration::from_millis(DEADLINE_MS));
    assert_named(&told, FAR, "timeout", "timeout");
    assert_eq!(far(&answer.json()), 0);
    assert!(run("tc", "qdisc del dev lo root"));
    is_whole_again(&cluster).await;
}

/// The names that a system knows by itself.
const LOCAL: &str = "127.0.0.1 localhost\n";

/// Puts a file in the place of one of the system's, for this namespace alone.
fn in_place_of(path: &str, text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let arguments = format!("--bind {} {path}", file.path().display());
    assert!(run("mount", &arguments), "mount refuses {arguments}");
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_server_that_hangs_costs_nothing_that_was_known_before() {
    if !within_its_own_network("a_name_server_that_hangs_costs_nothing_that_was_known_before") {
        return;
    }
    let hosts = in_place_of("/etc/hosts", &format!("{LOCAL}127.0.0.1 far.test\n"));
    let _resolver = in_place_of("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30\n");
    // It takes every question, and answers none.
    let _silent = UdpSocket::bind("127.0.0.1:53").unwrap();
    let (mut cluster, port) = cluster().await;
    let named = |place: crate::kit::Place| {
        let config = place.gateway_config(0, "Q99", &federation());
        config.replace(&format!("127.0.0.1:{port}/"), &format!("far.test:{port}/"))
    };
    let (_knows, knows) = cluster.start_gateway_with(named).await;
    let whole = cluster.ask_in_time(&knows).await;
    assert_eq!(whole.header("x-federation-regions"), "total=3,ok=3");
    std::fs::write(hosts.path(), LOCAL).unwrap();
    // A new connection takes a lookup, which hangs.
    cluster.restart(FAR).await;
    eventually("the region is found where it was", READY_TIME_MAX, async || {
        let answer = cluster.ask_in_time(&knows).await;
        (answer.header("x-federation-regions") == "total=3,ok=3").then_some(())
    })
    .await;
    // Who never knew the name says so in time, however many ask.
    let (_new, new) = cluster.start_gateway_with(named).await;
    let asked = (0..20).map(|_| cluster.ask_in_time(&new));
    for answer in futures::future::join_all(asked).await {
        let told = told(&assert_partial(&answer));
        assert_eq!((told.len(), far(&answer.json())), (1, 0), "{told:?}");
        assert!(told[0].2.contains(crate::kit::REGIONS[FAR].0), "{told:?}");
    }
}
