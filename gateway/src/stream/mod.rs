//! An answer in parts: what a region holds is sent as soon as it has answered and been checked, and
//! at the end what an ordinary answer says of itself. Nothing of a region is sent that an ordinary
//! answer would not show.
//!
//! | room | what lives there |
//! |---|---|
//! | [`event`] | what is told, and how it is written on either wire |
//!
//! `Accept: text/event-stream` gets events, the data of each one JSON object:
//!
//! | event | data | when |
//! |---|---|---|
//! | `pending` | `regions`: `ods` and `name` of each that is asked; `deadlineMs` | once, first |
//! | `region` | `ods`, `name`, `status`, `tookMs`, `count` (matches), `entries` (`entry` events of it that follow at once) | once for each region |
//! | `entry` | an entry of a searchset: `fullUrl`, `link`, `resource`, `search` | after its region; a Linkage of entries that are, or may be, one fact: at the end |
//! | `complete` | `complete`: true or false; `regions`: how many ended how, as in `X-Federation-Regions`; `total`, if complete; `outcome`: an OperationOutcome | once, last |
//!
//! `Accept: application/fhir+ndjson` gets a line for each entry, as above. The last line, and no
//! other, is an entry in mode `outcome`: the OperationOutcome, whose `meta.tag` says `complete` or
//! `partial`.
//!
//! **A stream without its last part was cut, and is incomplete**, whatever it holds. It begins once
//! it is known who is asked: what is refused until then is refused as ever. The headers
//! `X-Federation-*` cannot be known by then, and are left out. Entries are in order within a region.
//! The resource's bytes are the region's own but for line breaks between its members, which neither
//! wire can carry: a line has none, and an event's are all `\n`.
//!
//! A task asks and checks, so that a client that reads slowly makes no region late; it ends with the
//! connection, and with it every request to a region. What waits to be read is bounded as an
//! ordinary answer is: by what each region may contribute.

pub mod event;

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use fhir::identifier::{OdsCode, PatientNumber};
use fhir::outcome::{Issue, IssueCode, OperationOutcome, Severity};
use futures::stream::unfold;
use http::HeaderValue;
use service::answer::Answer;
use service::negotiation::Streamed;
use service::refusal::Refusal;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use url::form_urlencoded;

use self::event::{Ending, Part, Writer};
use crate::Gateway;
use crate::compose::{Assembled, assemble, expected};
use crate::context::Context;
use crate::error::GatewayError;
use crate::fan_out::{Collected, Regional, UnderWay, begin};
use crate::health::SearchEnd;
use crate::linkage::linkages;
use crate::merge::check::{Checked, check};
use crate::merge::{Source, merge};
use crate::outcome::RegionStatus;
use crate::page::turn::Turn;
use crate::question::{Dedup, Pages, Question};

/// From this size on, what a region sent is checked where no other request waits for the thread.
const INLINE_BYTES_MAX: usize = 256 << 10;

const COUNT: &str = "A stream is not paged: leave _count out. _count=0 gives the totals alone.";
const SNAPSHOT: &str = "A stream is not paged, so there is nothing to keep: leave snapshot out.";
const INCOMPLETE: &str = "What a stream has sent cannot be taken back: whether something is \
                          missing is said at its end. Ask for application/fhir+json instead.";
const FOLD: &str = "What a stream has sent cannot be folded: dedup is off or link there, and the \
                    end of the stream names the entries that are the same fact.";

/// Answers in parts; an error is one that came before the first of them. `pairs` is the search as
/// it was asked.
pub async fn stream(
    gateway: &Gateway,
    context: &Context,
    question: Question,
    pairs: &str,
    streamed: Streamed,
) -> Result<Answer, GatewayError> {
    let asked = Asked {
        gateway: gateway.clone(),
        context: context.clone(),
        question: Arc::new(admissible(question, pairs)?),
        writer: Writer { streamed },
    };
    let (begun, beginning) = oneshot::channel();
    // Room for all there can be: to begin with, of each region, at the end.
    let (parts, receiver) = mpsc::channel(gateway.directory().regions().len() + 2);
    let mut task = JoinSet::new();
    task.spawn(asked.answer(begun, parts));
    let panicked = |_| Err(GatewayError::Internal("a stream ended before it began".into()));
    beginning.await.unwrap_or_else(panicked)?;
    Ok(Answer::stream(HeaderValue::from_static(streamed.media()), body(task, receiver)))
}

/// The parts as a body. The task goes with it, and the regions' requests with the task.
fn body(task: JoinSet<()>, parts: mpsc::Receiver<Part>) -> Body {
    let parts = unfold(Some((task, parts)), async |state| {
        let (task, mut parts) = state?;
        let (part, state): (io::Result<Bytes>, _) = match parts.recv().await {
            Some(Part::More(bytes)) => (Ok(bytes), Some((task, parts))),
            Some(Part::Last(bytes)) => (Ok(bytes), None),
            // The client must not take this for an end.
            None => (Err(io::Error::other("a stream ended before its last part")), None),
        };
        Some((part, state))
    });
    Body::from_stream(parts)
}

/// A question that can be answered in parts.
fn admissible(question: Question, pairs: &str) -> Result<Question, GatewayError> {
    let mut pairs = form_urlencoded::parse(pairs.as_bytes());
    let refused = |name: &str, why| Err(GatewayError::NotSupported(name.to_owned(), why));
    if pairs.any(|(name, value)| name == "_count" && !matches!(&*value, "" | "0")) {
        return refused("_count", COUNT);
    }
    if question.pages == Pages::Snapshot {
        return refused("snapshot", SNAPSHOT);
    }
    if question.complete_only {
        return refused("incomplete", INCOMPLETE);
    }
    if question.dedup == Dedup::Fold {
        return refused("dedup", FOLD);
    }
    Ok(question)
}

/// What is answered, and how.
struct Asked {
    gateway: Gateway,
    context: Context,
    question: Arc<Question>,
    writer: Writer,
}

impl Asked {
    async fn answer(
        self,
        begun: oneshot::Sender<Result<(), GatewayError>>,
        parts: mpsc::Sender<Part>,
    ) {
        let mut under_way = match begin(&self.gateway, &self.question, &self.context).await {
            Ok(under_way) => under_way,
            Err(error) => {
                // Whoever asked may have gone away; so below.
                let _ = begun.send(Err(error));
                return;
            }
        };
        let _ = begun.send(Ok(()));
        let mut statuses = vec![RegionStatus::Unknown; under_way.unknown().len()];
        let _ = parts.send(Part::More(self.beginning(&under_way))).await;
        let numbers: Arc<[PatientNumber]> = under_way.numbers().into();
        let mut answers = Vec::new();
        while let Some(answer) = under_way.next().await {
            let answer = Arc::new(answer);
            let (status, bytes) = self.landed(&answer, &numbers).await;
            statuses.push(status);
            let _ = parts.send(Part::More(bytes)).await;
            answers.push(answer);
        }
        let answers = answers.into_iter().filter_map(Arc::into_inner).collect();
        let ending = self.ending(under_way.collected(answers), &statuses).await;
        let end = if ending.complete { SearchEnd::Complete } else { SearchEnd::Partial };
        self.gateway.counters().search(end);
        let _ = parts.send(Part::Last(self.writer.complete(&ending))).await;
    }

    fn beginning(&self, under_way: &UnderWay<'_>) -> Bytes {
        let left = self.context.deadline.saturating_duration_since(tokio::time::Instant::now());
        self.writer.pending(&under_way.regions(), under_way.unknown(), left)
    }

    /// Checks what a region sent, and writes it.
    async fn landed(
        &self,
        answer: &Arc<Regional>,
        numbers: &Arc<[PatientNumber]>,
    ) -> (RegionStatus, Bytes) {
        let (gateway, question, writer) =
            (self.gateway.clone(), self.question.clone(), self.writer);
        let (answer, numbers) = (answer.clone(), numbers.clone());
        let bytes = bytes(&answer);
        let work = move || written(&gateway, &question, &answer, &numbers, writer);
        apart(bytes, work).await
    }

    async fn ending(&self, collected: Collected, statuses: &[RegionStatus]) -> Ending {
        let (gateway, question) = (self.gateway.clone(), self.question.clone());
        let context = self.context.clone();
        let bytes = collected.answers.iter().map(bytes).sum();
        let statuses = statuses.to_vec();
        let work = move || {
            let mut turn = Turn::whole();
            let mut ending = match assemble(&gateway, &context, &question, &collected, &mut turn) {
                Ok(assembled) => Ending::of(assembled, &question, gateway.ods()),
                // The stream has begun: it ends with what would have been told instead.
                Err(error) => Ending::failed(error),
            };
            ending.count(&statuses);
            ending
        };
        apart(bytes, work).await
    }
}

/// Runs `work` on many bytes where no other request waits for the thread.
async fn apart<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if bytes <= INLINE_BYTES_MAX {
        return work();
    }
    match spawn_blocking(work).await {
        Ok(done) => done,
        // The task's own end is what cuts the stream.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn bytes(answer: &Regional) -> usize {
    let entries = answer.result.iter().flat_map(|said| &said.entries);
    entries.map(|entry| entry.resource.len()).sum()
}

/// How a region ended, and that with everything of it that is shown, written.
fn written(
    gateway: &Gateway,
    question: &Question,
    answer: &Regional,
    numbers: &[PatientNumber],
    writer: Writer,
) -> (RegionStatus, Bytes) {
    let region = &*answer.region;
    let checked = answer.result.as_ref().map_err(|failure| failure.status).and_then(|said| {
        let checked = check(&said.entries, region.base(), &expected(question, numbers))?;
        Ok((said.status(checked.matches.len()), checked))
    });
    let (status, checked) = checked.unwrap_or_else(|status| (status, Checked::default()));
    let merged = merge(vec![Source { region, checked }], Dedup::Off, question.order.descending);
    let bytes = writer.region(gateway.base(), question, answer, status, &merged);
    (status, bytes)
}

impl Ending {
    fn of(assembled: Assembled<'_>, question: &Question, author: &OdsCode) -> Self {
        let Assembled { merged, complete, mut issues, .. } = assembled;
        if question.executed.iter().any(|(name, _)| name == "_sort") {
            issues.push(Issue::new(
                Severity::Information,
                IssueCode::Informational,
                "A stream's entries are in the order of _sort within each region only.",
            ));
        }
        let total = complete.then(|| merged.shown_count());
        let linkages = if question.count_only { Vec::new() } else { linkages(&merged, author) };
        let outcome = OperationOutcome { issue: issues };
        Self { complete, total, linkages, outcome, ..Self::default() }
    }

    fn failed(error: GatewayError) -> Self {
        Self { outcome: Refusal::from(error).outcome, ..Self::default() }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn read(sent: Vec<Part>) -> Vec<Option<Bytes>> {
        let (sender, parts) = mpsc::channel(sent.len());
        for part in sent {
            sender.send(part).await.unwrap();
        }
        drop(sender);
        body(JoinSet::new(), parts).into_data_stream().map(Result::ok).collect().await
    }

    #[tokio::test]
    async fn a_stream_that_loses_its_last_part_does_not_end_it_breaks() {
        let (first, last) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
        let whole = vec![Part::More(first.clone()), Part::Last(last.clone())];
        assert_eq!(read(whole).await, [Some(first.clone()), Some(last)]);
        assert_eq!(read(vec![Part::More(first.clone())]).await, [Some(first), None]);
    }
}
