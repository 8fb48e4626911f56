//! What a server's process uses: its processor time and its memory, as Linux tells them.
//! <https://man7.org/linux/man-pages/man5/proc.5.html>

use std::fs::read_to_string;
use std::time::Duration;

/// Clock ticks a second in `/proc`, on every architecture that Linux has been built for since 2.6.
const TICKS_PER_SECOND: u64 = 100;
/// Of `/proc/PID/stat`, counted from the state that follows the name.
const USER_TICKS: usize = 11;

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// In user mode and in the kernel, of all its threads.
    pub(crate) processor: Duration,
    /// Memory that is resident.
    pub(crate) resident_bytes: u64,
}

impl Usage {
    /// What a process has used until now, if it is there.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may have any in it.
        let (_, fields) = stat.rsplit_once(')')?;
        let ticks = fields.split_whitespace().skip(USER_TICKS).take(2);
        let ticks: u64 = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>().ok()?;
        let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = resident.trim().trim_end_matches("kB").trim_end().parse().ok()?;
        Some(Self {
            processor: Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND),
            resident_bytes: kib * 1_024,
        })
    }

    /// What was used since, and what is resident now.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { processor: self.processor.saturating_sub(before.processor), ..self }
    }

    /// What two stretches of time took, and the most that was resident after one of them.
    pub(crate) fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Self {
                processor: one.processor + other.processor,
                resident_bytes: one.resident_bytes.max(other.resident_bytes),
            }),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_is_seen_to() {
        let before = Usage::of(std::process::id()).expect("we are there");
        let mut seen = before.since(before);
        assert_eq!(seen.processor, Duration::ZERO);
        let mut sum = 0_u64;
        while seen.processor.is_zero() {
            sum = (0..1_000_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
            seen = Usage::of(std::process::id()).expect("we are there").since(before);
        }
        assert!(seen.resident_bytes > 0);
        let both = Usage::sum(Some(seen), Some(seen)).expect("there are two");
        assert_eq!(both.processor, seen.processor * 2);
    }

    #[test]
    fn a_process_that_is_not_there_has_used_nothing() {
        assert!(Usage::of(u32::MAX).is_none());
    }
}
