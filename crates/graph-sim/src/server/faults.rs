//! Faults that can be switched on and off while the simulator runs.

use std::sync::{Mutex, PoisonError};

/// Which requests a fault hits. Paths are without the version prefix and compared
/// without regard to case: `/users`, `/groups/{id}/members`, `/$batch`; the token
/// endpoint is `/{tenant}/oauth2/v2.0/token`. Parts of a batch match on their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutePattern {
    /// Every request.
    Any,
    /// The path is exactly this.
    Exact(String),
    /// The path starts with this.
    Prefix(String),
    /// The path ends with this.
    Suffix(String),
    /// The path contains this; meant for object ids.
    Contains(String),
}

impl RoutePattern {
    fn matches(&self, path: &str) -> bool {
        let path = path.to_lowercase();
        match self {
            Self::Any => true,
            Self::Exact(text) => path == text.to_lowercase(),
            Self::Prefix(text) => path.starts_with(&text.to_lowercase()),
            Self::Suffix(text) => path.ends_with(&text.to_lowercase()),
            Self::Contains(text) => path.contains(&text.to_lowercase()),
        }
    }
}

/// The body of an error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultBody {
    /// Graph's error shape.
    Json {
        /// Error code.
        code: String,
        /// Message.
        message: String,
    },
    /// A gateway's HTML page.
    Html,
    /// Nothing.
    Empty,
}

/// What happens to a request that is hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultAction {
    /// Answer with this status.
    Answer {
        /// HTTP status.
        status: u16,
        /// Body.
        body: FaultBody,
        /// `Retry-After` as it goes on the wire.
        retry_after: Option<String>,
    },
    /// Answer 200 with an empty list and no next page.
    EmptyList,
    /// Give a page whose next link leads to itself.
    RepeatPage,
    /// Close the connection without an answer (the whole batch, inside a batch).
    ResetConnection,
    /// Send half of the body, then close the connection (the whole batch, inside a batch).
    TruncateBody,
    /// Leave the part out of its batch's answer; outside a batch the connection is closed.
    OmitFromBatch,
}

/// One fault: which requests, what happens, how often.
#[derive(Debug, Clone)]
pub struct Fault {
    pattern: RoutePattern,
    action: FaultAction,
    skip: u64,
    remaining: Option<u64>,
    later_pages_only: bool,
}

impl Fault {
    /// A fault that stays until it is cleared.
    pub fn new(pattern: RoutePattern, action: FaultAction) -> Self {
        Self {
            pattern,
            action,
            skip: 0,
            remaining: None,
            later_pages_only: false,
        }
    }

    /// An error answer in Graph's shape.
    pub fn status(pattern: RoutePattern, status: u16, code: &str) -> Self {
        let body = FaultBody::Json {
            code: code.to_owned(),
            message: "Simulated fault.".to_owned(),
        };
        Self::new(
            pattern,
            FaultAction::Answer {
                status,
                body,
                retry_after: None,
            },
        )
    }

    /// An error answer with an HTML page, as a gateway gives it.
    pub fn html(pattern: RoutePattern, status: u16) -> Self {
        let body = FaultBody::Html;
        Self::new(
            pattern,
            FaultAction::Answer {
                status,
                body,
                retry_after: None,
            },
        )
    }

    /// Adds `Retry-After`; only error answers have one.
    #[must_use]
    pub fn retry_after(mut self, value: &str) -> Self {
        if let FaultAction::Answer { retry_after, .. } = &mut self.action {
            *retry_after = Some(value.to_owned());
        }
        self
    }

    /// Ends after this many hits.
    #[must_use]
    pub fn times(mut self, hits: u64) -> Self {
        self.remaining = Some(hits);
        self
    }

    /// Lets this many matching requests through first.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Hits only requests for a second or later page.
    #[must_use]
    pub fn on_later_pages(mut self) -> Self {
        self.later_pages_only = true;
        self
    }
}

/// Names a fault that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

#[derive(Debug, Default)]
struct Switches {
    next_id: u64,
    faults: Vec<(FaultId, Fault)>,
    empty_tenant: bool,
}

/// The switchboard. Faults are tried in the order they were added; the first that
/// matches wins.
#[derive(Debug, Default)]
pub struct Faults {
    switches: Mutex<Switches>,
}

impl Faults {
    /// Switches a fault on.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut switches = self.lock();
        switches.next_id += 1;
        let id = FaultId(switches.next_id);
        switches.faults.push((id, fault));
        id
    }

    /// Switches one fault off; `false` when it was off.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut switches = self.lock();
        let before = switches.faults.len();
        switches.faults.retain(|(known, _)| *known != id);
        before != switches.faults.len()
    }

    /// Switches everything off.
    pub fn clear(&self) {
        let mut switches = self.lock();
        switches.faults.clear();
        switches.empty_tenant = false;
    }

    /// Makes every list of the tenant come back empty, as a broken replica might.
    pub fn set_empty_tenant(&self, empty: bool) {
        self.lock().empty_tenant = empty;
    }

    /// What happens to this request, if anything; counts the hit.
    pub(crate) fn strike(&self, path: &str, is_later_page: bool) -> Option<FaultAction> {
        let mut switches = self.lock();
        for place in 0..switches.faults.len() {
            let (_, fault) = &mut switches.faults[place];
            if !fault.pattern.matches(path) || (fault.later_pages_only && !is_later_page) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            let action = fault.action.clone();
            if let Some(remaining) = &mut fault.remaining {
                *remaining = remaining.saturating_sub(1);
                if *remaining == 0 {
                    switches.faults.remove(place);
                }
            }
            return Some(action);
        }
        switches.empty_tenant.then_some(FaultAction::EmptyList)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Switches> {
        // The state is a list of switches: nothing can be half done in it.
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_skips_then_hits_then_ends() {
        let faults = Faults::default();
        let pattern = RoutePattern::Suffix("/members".to_owned());
        faults.add(
            Fault::status(pattern, 503, "ServiceUnavailable")
                .after(1)
                .times(2),
        );
        let hits: Vec<bool> = (0..5)
            .map(|_| faults.strike("/groups/1/Members", false).is_some())
            .collect();
        assert_eq!(hits, [false, true, true, false, false]);
    }

    #[test]
    fn a_removed_fault_no_longer_hits() {
        let faults = Faults::default();
        let id = faults.add(Fault::html(RoutePattern::Any, 502));
        assert!(faults.strike("/users", false).is_some());
        assert!(faults.remove(id));
        assert!(faults.strike("/users", false).is_none());
    }

    #[test]
    fn a_fault_for_later_pages_spares_the_first() {
        let faults = Faults::default();
        faults.add(Fault::html(RoutePattern::Any, 502).on_later_pages());
        assert!(faults.strike("/users", false).is_none());
        assert!(faults.strike("/users", true).is_some());
    }
}
