//! Progress for people and programs: bars on a terminal, lines elsewhere, one JSON object per line on request.
//!
//! Bars and plain lines go to the standard error, so that the report on the standard output can be kept; JSON lines go to
//! the standard output.

use std::{
    collections::HashMap,
    io::{IsTerminal as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::{ProgressEvent, ProgressSink, report};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressForm {
    /// Bars that move, for a terminal.
    Bars,
    /// A line now and then.
    Plain,
    /// One JSON object per event.
    Json,
    /// Nothing.
    None,
}

impl ProgressForm {
    /// Bars on a terminal, lines elsewhere.
    pub fn automatic() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Bars
        } else {
            Self::Plain
        }
    }
}

/// Plain lines about a growing collection come this often at most.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Shows progress as it comes.
pub struct Display {
    form: ProgressForm,
    state: Mutex<State>,
}

struct State {
    bars: MultiProgress,
    by_collection: HashMap<String, ProgressBar>,
    waiting: Option<Waiting>,
    waits: u32,
    last_line: HashMap<String, Instant>,
}

/// The line about a wait, as long as it lasts.
struct Waiting {
    bar: ProgressBar,
    until: Instant,
}

impl Display {
    /// A display of this form; nothing is shown yet.
    pub fn new(form: ProgressForm) -> Self {
        Self {
            form,
            state: Mutex::new(State {
                bars: MultiProgress::new(),
                by_collection: HashMap::new(),
                waiting: None,
                waits: 0,
                last_line: HashMap::new(),
            }),
        }
    }

    /// The terminal has shown a Ctrl-C below the bars, which then draw themselves one line too low: back up.
    pub(super) fn forget_ctrl_c(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let draws_bars = self.form == ProgressForm::Bars && !state.bars.is_hidden();
        if draws_bars && !state.by_collection.is_empty() && std::io::stdin().is_terminal() {
            let _ = write!(std::io::stderr(), "\x1b[1A");
        }
    }

    /// Leaves the terminal in order.
    pub fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.end_wait();
        for bar in state.by_collection.values() {
            if !bar.is_finished() {
                bar.abandon();
            }
        }
    }
}

/// Warnings of the log go between the bars' lines, not through them.
pub(super) struct LogLine(pub Arc<Display>);

impl std::io::Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let display = &self.0;
        if display.form == ProgressForm::Bars {
            let state = display.state.lock();
            let state = state.unwrap_or_else(PoisonError::into_inner);
            state.print(String::from_utf8_lossy(bytes).trim_end());
        } else {
            std::io::stderr().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl ProgressSink for Display {
    fn event(&self, event: ProgressEvent) {
        match self.form {
            ProgressForm::None => {}
            ProgressForm::Json => print_json(&event),
            ProgressForm::Plain => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.plain(&event);
            }
            ProgressForm::Bars => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.bars(event);
            }
        }
    }
}

/// Records per second; fractions of them only make the column jump.
fn whole_rate(state: &ProgressState, text: &mut dyn std::fmt::Write) {
    let _ = write!(text, "{}/s", HumanCount(state.per_sec() as u64));
}

/// A reader that went away is no failure of the crawl.
fn print_json(event: &ProgressEvent) {
    if let Ok(mut line) = serde_json::to_vec(event) {
        line.push(b'\n');
        let _ = std::io::stdout().write_all(&line);
    }
}

impl State {
    fn plain(&mut self, event: &ProgressEvent) {
        let now = Instant::now();
        let line = match event {
            // All collections start at once; that is said when the first records arrive.
            ProgressEvent::CollectionStarted { .. } | ProgressEvent::Read { records: 0, .. } => {
                return;
            }
            ProgressEvent::Read { collection, .. } => {
                let has_begun = self.last_line.contains_key(collection);
                if !self.is_due(collection, now) {
                    return;
                }
                if has_begun {
                    event.plain_line()
                } else {
                    format!("{collection}: reading")
                }
            }
            ProgressEvent::Waiting { .. } if !self.is_due("waiting", now) => return,
            other => other.plain_line(),
        };
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Is it time for the next line of this kind?
    fn is_due(&mut self, kind: &str, now: Instant) -> bool {
        let last = self.last_line.get(kind);
        let is_due = last.is_none_or(|last| now.duration_since(*last) >= PLAIN_INTERVAL);
        if is_due {
            self.last_line.insert(kind.to_owned(), now);
        }
        is_due
    }

    fn bars(&mut self, event: ProgressEvent) {
        let now = Instant::now();
        if self.waiting.as_ref().is_some_and(|w| w.until <= now) {
            self.end_wait();
        }
        match event {
            ProgressEvent::CollectionStarted { collection } => {
                let bar = self.new_bar("{spinner} {prefix:<20} {human_pos:>11}  {rate:>11}  {msg}");
                bar.set_prefix(collection.clone());
                self.by_collection.insert(collection, bar);
            }
            ProgressEvent::Read {
                collection,
                records,
            } => {
                if let Some(bar) = self.by_collection.get(&collection) {
                    bar.set_position(records);
                }
            }
            ProgressEvent::CollectionFinished { report } => {
                if let Some(bar) = self.by_collection.get(&report.collection) {
                    bar.set_position(report.read);
                    bar.finish_with_message(report::ending_word(&report));
                }
            }
            ProgressEvent::Waiting { wait_ms, .. } => self.begin_wait(&event, wait_ms, now),
            ProgressEvent::RunStarted { .. }
            | ProgressEvent::TenantKnown { .. }
            | ProgressEvent::Message { .. } => self.print(&event.plain_line()),
            // Why is in the report.
            ProgressEvent::RunIsLost { .. } => {}
            ProgressEvent::RunFinished { .. } => self.end_wait(),
        }
    }

    /// A line above the bars; where no bars can be drawn, just a line.
    fn print(&self, line: &str) {
        if self.bars.is_hidden() {
            let _ = writeln!(std::io::stderr(), "{line}");
        } else {
            let _ = self.bars.println(line);
        }
    }

    fn begin_wait(&mut self, event: &ProgressEvent, wait_ms: u64, now: Instant) {
        self.waits += 1;
        let until = now + Duration::from_millis(wait_ms);
        let waiting = match self.waiting.take() {
            Some(waiting) => waiting,
            None => Waiting {
                bar: self.new_bar("{spinner} {msg}"),
                until,
            },
        };
        let waits = self.waits;
        waiting
            .bar
            .set_message(format!("{} (wait number {waits})", event.plain_line()));
        let until = waiting.until.max(until);
        self.waiting = Some(Waiting { until, ..waiting });
    }

    fn end_wait(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.bar.finish_and_clear();
            self.bars.remove(&waiting.bar);
        }
    }

    fn new_bar(&self, template: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("rate", whole_rate));
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}
