//! Where host names lead. A name is looked up once at a time, however many wait for it, so that a name
//! server that hangs takes one thread for each name and no more; and while it says nothing, or that
//! it cannot tell, a name leads where it led last.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How long a lookup may take before the name leads where it led last.
const PATIENCE: Duration = Duration::from_millis(250);

type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;
type LookUp = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// The names of a client's URLs, which are those of a configuration: there are few.
#[derive(Clone)]
pub(crate) struct Names {
    look_up: Arc<LookUp>,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

/// What is known of one name.
#[derive(Default)]
struct Known {
    last: Option<Vec<SocketAddr>>,
    under_way: Option<Shared<BoxFuture<'static, Found>>>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Default for Names {
    /// As the system looks names up.
    fn default() -> Self {
        Self::by(|name| {
            async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }.boxed()
        })
    }
}

impl Names {
    fn by(
        look_up: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { look_up: Arc::new(look_up), known: Arc::default() }
    }

    /// Where a name leads, or led last.
    async fn find(&self, name: &str) -> Found {
        let (lookup, last) = self.begin(name);
        let Some(last) = last else { return lookup.await };
        match tokio::time::timeout(PATIENCE, lookup).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("a host name cannot be looked up; it leads where it led last");
                Ok(last)
            }
        }
    }

    /// The lookup that is under way, or one that begins, and where the name led last.
    fn begin(&self, name: &str) -> (Shared<BoxFuture<'static, Found>>, Option<Vec<SocketAddr>>) {
        let mut names = self.known();
        let known = names.entry(name.to_owned()).or_default();
        let last = known.last.clone();
        if let Some(under_way) = &known.under_way {
            return (under_way.clone(), last);
        }
        let (own, of) = (self.clone(), name.to_owned());
        let looking = (self.look_up)(of.clone());
        // A task of its own: it ends, and is remembered, though nobody waits for it any more.
        let task = tokio::spawn(async move {
            let found = looking.await.map_err(Arc::new);
            own.settle(&of, &found);
            found
        });
        let lookup = task.map(|ended| ended.unwrap_or_else(|_| Err(Arc::new(gone()))));
        let lookup = lookup.boxed().shared();
        known.under_way = Some(lookup.clone());
        (lookup, last)
    }

    fn settle(&self, name: &str, found: &Found) {
        let mut names = self.known();
        let known = names.entry(name.to_owned()).or_default();
        known.under_way = None;
        if let Ok(addresses) = found
            && !addresses.is_empty()
        {
            known.last = Some(addresses.clone());
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let addresses = names.find(name.as_str()).await?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

fn gone() -> io::Error {
    io::Error::other("the lookup ended with the process")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 0))
    }

    /// Lookups that end one after the other as the script has it: none hangs.
    fn scripted(script: Vec<Option<io::Result<u8>>>) -> (Names, Arc<AtomicUsize>) {
        let (count, script) = (Arc::new(AtomicUsize::new(0)), Mutex::new(script.into_iter()));
        let counted = count.clone();
        let names = Names::by(move |_name| {
            counted.fetch_add(1, Ordering::SeqCst);
            let next = script.lock().unwrap().next().flatten();
            async move {
                match next {
                    Some(found) => found.map(|last| vec![address(last)]),
                    None => std::future::pending().await,
                }
            }
            .boxed()
        });
        (names, count)
    }

    #[tokio::test]
    async fn a_name_leads_where_it_led_last_while_nobody_can_say() {
        let broken = || Some(Err(io::Error::other("no such name")));
        let (names, _) = scripted(vec![Some(Ok(1)), broken(), Some(Ok(2)), None]);
        for last in [1, 1, 2, 2] {
            assert_eq!(names.find("far").await.unwrap(), [address(last)]);
        }
    }

    #[tokio::test]
    async fn a_name_that_never_led_anywhere_is_not_made_up() {
        let (names, _) = scripted(vec![Some(Err(io::Error::other("no such name"))), Some(Ok(1))]);
        assert!(names.find("far").await.is_err());
        assert_eq!(names.find("far").await.unwrap(), [address(1)]);
    }

    #[tokio::test]
    async fn however_many_wait_a_name_is_looked_up_once_at_a_time() {
        let (names, count) = scripted(vec![None]);
        let waits = |_| tokio::time::timeout(Duration::from_millis(20), names.find("far"));
        let waited = join_all((0..1_000).map(waits)).await;
        assert!(waited.iter().all(Result::is_err));
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}
