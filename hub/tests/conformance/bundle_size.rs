//! Transactions that are large, crossed, or cut short.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use serde_json::{Value, json};
use service::body::{BUNDLE_BYTES_MAX, RESOURCE_BYTES_MAX};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::fixtures::{
    create, fact, family, nameless, patient, process, send, statuses, store, transaction,
};
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    two_thousand_entries_are_one_transaction,
    whole_published_histories_are_taken_in,
    a_body_over_the_limit_is_refused_whether_or_not_it_says_so,
    transactions_that_cross_each_other_never_fail_the_server,
    a_client_that_goes_away_leaves_no_half_of_a_bundle,
);

async fn two_thousand_entries_are_one_transaction(kit: Kit) {
    let urn = |n: usize| format!("urn:uuid:6b1f3b2c-0000-4000-8000-{n:012x}");
    let mut entries = vec![create(&urn(0), json!({"resourceType": "Patient"}))];
    entries.extend((1..2_000).map(|n| create(&urn(n), nameless(fact("", &urn(0), "c")))));
    let response = process(&kit, &transaction(&entries)).await;
    assert_eq!(statuses(&response), vec!["201"; 2_000]);
    assert_eq!((kit.count("Patient").await, kit.count("Observation").await), (1, 1_999));
    let patient = super::fixtures::location(&response, 0);
    let about = kit.search(&format!("Observation?subject={patient}&_summary=count")).await;
    assert_eq!(about["total"], 1_999);
}

async fn whole_published_histories_are_taken_in(kit: Kit) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/synthea"));
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: the example data is not beside this project");
        return;
    };
    let mut files: Vec<(u64, PathBuf)> = files
        .map(|file| file.unwrap())
        .map(|file| (file.metadata().unwrap().len(), file.path()))
        .collect();
    files.sort();
    // The largest of them.
    for (_, file) in files.iter().rev().take(3) {
        let text = std::fs::read_to_string(file).unwrap();
        let sent: Value = serde_json::from_str(&text).unwrap();
        let response = process(&kit, &text).await;
        let count = sent["entry"].as_array().unwrap().len();
        assert_eq!(statuses(&response), vec!["201"; count], "{}", file.display());
    }
}

async fn a_body_over_the_limit_is_refused_whether_or_not_it_says_so(kit: Kit) {
    for (path, limit) in [("", BUNDLE_BYTES_MAX), ("/Patient", RESOURCE_BYTES_MAX)] {
        let url = format!("/FHIR/R4{path}");
        let declared = (limit + 1).to_string();
        let headers = [("content-type", "application/fhir+json"), ("content-length", &*declared)];
        let refused = kit.send("POST", &url, &headers, Body::empty()).await;
        refused.assert_refused(StatusCode::PAYLOAD_TOO_LARGE);
        let spaces = Bytes::from(vec![b' '; 1 << 20]);
        let chunks = (0..=limit >> 20).map(move |_| Ok::<_, io::Error>(spaces.clone()));
        let body = Body::from_stream(stream::iter(chunks));
        let refused = kit.send("POST", &url, &headers[..1], body).await;
        refused.assert_refused(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let many: Vec<Value> = (0..10_001)
        .map(|n| send("PUT", &format!("Patient/{n}"), patient(&n.to_string(), json!({}))))
        .collect();
    let refused = kit.post("", &transaction(&many)).await;
    refused.assert_refused(StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(kit.count("Patient").await, 0);
}

async fn transactions_that_cross_each_other_never_fail_the_server(kit: Kit) {
    const WIDTH: usize = 8;
    store(&kit, (0..WIDTH).map(|n| patient(&format!("p{n}"), json!({})))).await;
    let kit = Arc::new(kit);
    let senders = (0..16).map(|sender| {
        let kit = kit.clone();
        tokio::spawn(async move {
            let mut order: Vec<usize> = (0..WIDTH).collect();
            // Half of them take the resources from the other end.
            if sender % 2 == 1 {
                order.reverse();
            }
            let mut taken = 0;
            for turn in 0..3 {
                let name = format!("S{sender} T{turn}");
                let put = |n: &usize| {
                    send("PUT", &format!("Patient/p{n}"), family(&format!("p{n}"), &name))
                };
                let bundle = transaction(&order.iter().map(put).collect::<Vec<_>>());
                let answer = kit.post("", &bundle).await;
                match answer.status {
                    StatusCode::OK => taken += 1,
                    StatusCode::SERVICE_UNAVAILABLE => {
                        assert!(!answer.header("retry-after").is_empty(), "{}", answer.text);
                    }
                    status => assert_eq!(status, StatusCode::CONFLICT, "{}", answer.text),
                }
            }
            taken
        })
    });
    let taken: i64 = futures::future::join_all(senders).await.into_iter().map(Result::unwrap).sum();
    assert!(taken > 0);
    // Each that was taken made one version of all of them, and the last one is everywhere.
    let last = kit.search("Patient/p0").await["name"][0]["family"].clone();
    for n in 0..WIDTH {
        let path = format!("Patient/p{n}");
        assert_eq!(kit.search(&path).await["name"][0]["family"], last);
        assert_eq!(kit.search(&format!("{path}/_history")).await["total"], taken + 1);
    }
}

async fn a_client_that_goes_away_leaves_no_half_of_a_bundle(kit: Kit) {
    const ENTRIES: usize = 200;
    let wire = kit.over_tcp().await;
    let entries: Vec<Value> = (0..ENTRIES)
        .map(|n| send("PUT", &format!("Patient/p{n}"), patient(&format!("p{n}"), json!({}))))
        .collect();
    let body = transaction(&entries);
    let head = format!(
        "POST /FHIR/R4 HTTP/1.1\r\nhost: hub.test\r\ncontent-type: application/fhir+json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    for sent in [&body[..body.len() / 2], &body] {
        let mut stream = TcpStream::connect(wire.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        drop(stream);
        for _ in 0..20 {
            let count = kit.count("Patient").await;
            let whole = sent.len() == body.len() && count == ENTRIES as i64;
            assert!(count == 0 || whole, "{count}");
        }
    }
    // The hub has lost nothing by it.
    assert_eq!(statuses(&process(&kit, &body).await).len(), ENTRIES);
    assert_eq!(kit.count("Patient").await, ENTRIES as i64);
}
