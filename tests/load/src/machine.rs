//! Where and what was measured: without it a figure says nothing.

use std::fs::read_to_string;

use serde_json::{Value, json};

use crate::target::Target;

/// The machine, and each server with the durability that whoever started it says it has.
pub(crate) async fn describe(targets: &[Target], durabilities: &[String]) -> Value {
    let mut servers = Vec::new();
    for (at, target) in targets.iter().enumerate() {
        servers.push(json!({
            "base": target.base(),
            "software": software(target).await,
            "durability": durabilities.get(at).map_or("not stated", String::as_str),
        }));
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let of_kernel = |file: &str| read_to_string(file).unwrap_or_default().trim().to_owned();
    json!({
        "cores": cores,
        "kernel": of_kernel("/proc/sys/kernel/osrelease"),
        "load_before": of_kernel("/proc/loadavg").split(' ').next(),
        "servers": servers,
    })
}

/// What a server calls itself in its CapabilityStatement.
async fn software(target: &Target) -> String {
    let answer = target.get("metadata").await.ok();
    let statement: Option<Value> =
        answer.and_then(|answer| serde_json::from_slice(&answer.body).ok());
    let software = statement.map(|statement| statement["software"].clone()).unwrap_or_default();
    let part = |name: &str| software[name].as_str().unwrap_or("unknown").to_owned();
    format!("{} {}", part("name"), part("version"))
}
