//! A real server on a free port that says the same thing to everyone, for tests.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::drive::{Plan, Work, drive};
use crate::tally::Tally;
use crate::target::{Reach, Target};

/// Starts a server that answers every request with this status and body.
pub(crate) async fn serve(status: u16, body: &'static str) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/FHIR/R4", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, status, body));
        }
    });
    let timeout = Duration::from_secs(30);
    let reach = Reach { remote: false, http2: false, timeout, headers: Vec::new() };
    Target::new(&base, &reach).unwrap()
}

/// Does `units` units of work with two workers.
pub(crate) async fn run<W: Work>(work: W, units: u64) -> Tally {
    let duration = Duration::from_mins(1);
    let plan = Plan { workers: 2, duration, rate: None, units: 0..units };
    drive(Arc::new(work), plan).await
}

async fn answer(stream: TcpStream, status: u16, body: &'static str) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|&read| read > 0)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        stream.read_exact(&mut vec![0; length]).await.ok()?;
        let size = body.len();
        let head = format!("HTTP/1.1 {status} Stub\r\ncontent-length: {size}\r\n\r\n{body}");
        stream.get_mut().write_all(head.as_bytes()).await.ok()?;
    }
}
