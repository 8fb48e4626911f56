//! How many questions a region is asked at a time: as many as it answers. One more for each round of
//! good answers, and three tenths fewer when it is overloaded or silent; never more than configured,
//! never so few that nobody would notice that it is well again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::breaker::Verdict;

/// As few as a region is asked at a time, if more are allowed.
const LEAST: usize = 4;
/// Bad answers that belong together cut once.
const CUT_EVERY: Duration = Duration::from_millis(500);

/// The limit of one region.
#[derive(Debug)]
pub struct Limit {
    most: usize,
    turns: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Good answers since the limit last changed.
    well: usize,
    /// Turns that are taken and do not come back.
    owed: usize,
    cut: Option<Instant>,
}

/// A question's turn.
#[derive(Debug)]
pub struct Turn<'a> {
    limit: &'a Limit,
    permit: Option<SemaphorePermit<'a>>,
}

impl Limit {
    /// The limit of a region of which nothing is known.
    pub fn new(most: usize) -> Self {
        let state = State { limit: most, well: 0, owed: 0, cut: None };
        Self { most, turns: Semaphore::new(most), state: Mutex::new(state) }
    }

    /// Waits for a turn.
    pub async fn turn(&self) -> Turn<'_> {
        let permit = self.turns.acquire().await.expect("the semaphore is never closed");
        Turn { limit: self, permit: Some(permit) }
    }

    /// How many turns there are now.
    pub fn now(&self) -> usize {
        self.state().limit
    }

    /// Notes how a question went.
    pub fn note(&self, verdict: Verdict, now: Instant) {
        let mut state = self.state();
        match verdict {
            Verdict::Unknown => {}
            Verdict::Well => {
                state.well += 1;
                if state.well >= state.limit && state.limit < self.most {
                    state.limit += 1;
                    state.well = 0;
                    match state.owed.checked_sub(1) {
                        Some(left) => state.owed = left,
                        None => self.turns.add_permits(1),
                    }
                }
            }
            Verdict::Ill => {
                let together = |cut| now.saturating_duration_since(cut) < CUT_EVERY;
                let least = LEAST.min(self.most);
                let cut = (state.limit * 7 / 10).max(least);
                if cut < state.limit && !state.cut.is_some_and(together) {
                    let fewer = state.limit - cut;
                    state.owed += fewer - self.turns.forget_permits(fewer);
                    (state.limit, state.well, state.cut) = (cut, 0, Some(now));
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.limit.state();
        if let Some(left) = state.owed.checked_sub(1) {
            state.owed = left;
            self.permit.take().into_iter().for_each(SemaphorePermit::forget);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// As many turns as can be taken without waiting.
    fn free(limit: &Limit) -> Vec<Turn<'_>> {
        std::iter::from_fn(|| limit.turn().now_or_never()).collect()
    }

    #[test]
    fn an_overloaded_region_is_asked_less_and_more_again_as_it_answers() {
        let (limit, start) = (Limit::new(10), Instant::now());
        limit.note(Verdict::Ill, start);
        limit.note(Verdict::Ill, start + CUT_EVERY / 2);
        assert_eq!((limit.now(), free(&limit).len()), (7, 7));
        for later in 1..=9 {
            limit.note(Verdict::Ill, start + CUT_EVERY * later);
        }
        assert_eq!((limit.now(), free(&limit).len()), (LEAST, LEAST));
        for _ in 0..LEAST {
            limit.note(Verdict::Well, start);
        }
        assert_eq!((limit.now(), free(&limit).len()), (LEAST + 1, LEAST + 1));
        for _ in 0..1_000 {
            limit.note(Verdict::Well, start);
        }
        assert_eq!((limit.now(), free(&limit).len()), (10, 10));
    }

    #[test]
    fn turns_that_are_taken_when_the_limit_falls_do_not_come_back() {
        let (limit, start) = (Limit::new(10), Instant::now());
        let taken = free(&limit);
        limit.note(Verdict::Ill, start);
        assert!(free(&limit).is_empty());
        drop(taken);
        assert_eq!(free(&limit).len(), 7);
    }

    #[test]
    fn a_limit_that_is_small_by_configuration_stays() {
        let limit = Limit::new(1);
        limit.note(Verdict::Ill, Instant::now());
        assert_eq!((limit.now(), free(&limit).len()), (1, 1));
    }
}
