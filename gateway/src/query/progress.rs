//! The regions while they answer: a line each, once it has ended; on a terminal the lines are there
//! from the start and change.

use std::io::{self, Write};

use super::ask::Update;
use super::plain::plain;

/// What is known of every region.
#[derive(Debug)]
pub struct Progress {
    searches: usize,
    live: bool,
    lines: Vec<Line>,
    drawn: usize,
}

#[derive(Debug)]
struct Line {
    ods: String,
    name: String,
    /// Searches that it has not answered.
    outstanding: usize,
    /// The worst of how it ended.
    status: String,
    took_ms: u64,
    count: usize,
}

impl Progress {
    /// Each region is asked so many searches; `live` lines change in place.
    pub fn new(searches: usize, live: bool) -> Self {
        Self { searches, live, lines: Vec::new(), drawn: 0 }
    }

    /// Takes what was learnt, and shows it.
    pub fn take(&mut self, update: Update, out: &mut impl Write) -> io::Result<()> {
        match update {
            Update::Pending(regions) => {
                for region in regions {
                    self.line(&region.ods, &region.name);
                }
            }
            Update::Region(ended) => {
                let line = self.line(&ended.ods, ended.name.as_deref().unwrap_or_default());
                line.outstanding = line.outstanding.saturating_sub(1);
                line.took_ms = line.took_ms.max(ended.took_ms);
                line.count += ended.count;
                let is_better = |status: &str| matches!(status, "" | "ok" | "empty");
                if line.status.is_empty() || is_better(&line.status) && ended.status != "empty" {
                    line.status = ended.status;
                }
                let text = (line.outstanding == 0).then(|| line.text());
                if let Some(text) = text.filter(|_| !self.live) {
                    return writeln!(out, "{text}");
                }
            }
        }
        self.draw(out)
    }

    /// Shows those that were not heard of again.
    pub fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.live {
            return Ok(());
        }
        let open = self.lines.iter().filter(|line| line.outstanding > 0);
        open.map(Line::text).try_for_each(|text| writeln!(out, "{text}"))
    }

    fn line(&mut self, ods: &str, name: &str) -> &mut Line {
        let place = self.lines.iter().position(|line| line.ods == ods).unwrap_or_else(|| {
            self.lines.push(Line {
                ods: ods.to_owned(),
                name: name.to_owned(),
                outstanding: self.searches,
                status: String::new(),
                took_ms: 0,
                count: 0,
            });
            self.lines.len() - 1
        });
        &mut self.lines[place]
    }

    fn draw(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        if self.drawn > 0 {
            write!(out, "\x1b[{}A", self.drawn)?;
        }
        for line in &self.lines {
            writeln!(out, "\x1b[2K{}", line.text())?;
        }
        self.drawn = self.lines.len();
        out.flush()
    }
}

impl Line {
    fn text(&self) -> String {
        let (ods, name) = (plain(&self.ods), plain(&self.name));
        if self.outstanding > 0 {
            return format!("  {ods:6} {name:32} asked");
        }
        let Self { status, took_ms, count, .. } = self;
        format!("  {ods:6} {name:32} {:13} {took_ms:>6} ms {count:>6}", plain(status))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::ask::{Named, RegionEnded};
    use super::*;

    fn shown(live: bool) -> String {
        let named = |ods: &str| Named { ods: ods.into(), name: "North".into() };
        let ended = |ods: &str, status: &str, count| {
            let (ods, status) = (ods.into(), status.into());
            Update::Region(RegionEnded { ods, name: None, status, took_ms: 7, count })
        };
        let mut progress = Progress::new(2, live);
        let mut out = Vec::new();
        for update in [
            Update::Pending(vec![named("A1"), named("B2")]),
            ended("A1", "timeout", 0),
            ended("A1", "ok", 3),
            ended("B2", "empty", 0),
        ] {
            progress.take(update, &mut out).unwrap();
        }
        progress.end(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_region_has_one_line_with_the_worst_of_its_answers() {
        let text = shown(false);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("A1") && lines[0].contains("timeout") && lines[0].ends_with('3'));
        assert!(lines[1].contains("B2") && lines[1].ends_with("asked"));
    }

    #[test]
    fn lines_change_in_place_on_a_terminal() {
        let text = shown(true);
        assert_eq!(text.matches("\x1b[2A").count(), 3);
        assert!(text.contains("asked") && text.contains("timeout"));
    }
}
