//! The switchboard: which faults are on, and what they have done.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::{Asked, Fault, FaultAction};
use crate::server::query::skip_token;

/// Names a fault that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

/// A page token that was given out while page tokens may expire.
#[derive(Debug, Clone, Copy)]
struct GivenToken {
    /// How many pages were read before the one it leads to.
    pages: u64,
    given: Instant,
}

#[derive(Debug, Default)]
struct Switches {
    next_id: u64,
    faults: Vec<(FaultId, Fault)>,
    empty_tenant: bool,
    struck: BTreeMap<String, u64>,
    /// By path and token.
    page_tokens: HashMap<(String, String), GivenToken>,
}

/// A fault that hits a request. It is counted when it has done what it does.
#[derive(Debug)]
pub(crate) struct Strike {
    pub(crate) action: FaultAction,
    title: String,
}

/// What faults that bend pages remember of the page before, by path.
#[derive(Debug, Default)]
pub(crate) struct PageMemory {
    /// The URL that was asked for.
    pub(crate) links: HashMap<String, String>,
    /// The last items shown.
    pub(crate) items: HashMap<String, Vec<Value>>,
}

/// The switchboard. Faults are tried in the order they were added; the first that
/// matches wins.
#[derive(Debug, Default)]
pub struct Faults {
    switches: Mutex<Switches>,
    memory: Mutex<PageMemory>,
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
        switches.page_tokens.clear();
        switches.empty_tenant = false;
        drop(switches);
        *self.memory() = PageMemory::default();
    }

    /// Makes every list of the tenant come back empty, as a broken replica might.
    pub fn set_empty_tenant(&self, empty: bool) {
        self.lock().empty_tenant = empty;
    }

    /// How often each fault has struck, by name.
    pub fn struck(&self) -> BTreeMap<String, u64> {
        self.lock().struck.clone()
    }

    pub(crate) fn forget_struck(&self) {
        self.lock().struck.clear();
    }

    /// What happens to this request, if anything.
    pub(crate) fn strike(&self, asked: Asked<'_>, time_scale: f64) -> Option<Strike> {
        let mut switches = self.lock();
        for place in 0..switches.faults.len() {
            let Switches {
                faults,
                page_tokens,
                ..
            } = &mut *switches;
            let (_, fault) = &mut faults[place];
            if !fault.matches(&asked) || !is_due(fault, asked, page_tokens, time_scale) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault
                .chance
                .as_mut()
                .is_some_and(|chance| !chance.strikes(asked))
            {
                continue;
            }
            let strike = Strike {
                action: fault.action.clone(),
                title: fault.title(),
            };
            if let Some(remaining) = &mut fault.remaining {
                *remaining = remaining.saturating_sub(1);
                if *remaining == 0 {
                    faults.remove(place);
                }
            }
            return Some(strike);
        }
        switches.empty_tenant.then(|| Strike {
            action: FaultAction::EmptyList,
            title: "empty tenant".to_owned(),
        })
    }

    /// Counts what a fault has done.
    pub(crate) fn count(&self, strike: Strike) {
        self.count_as(strike.title);
    }

    /// Counts what a condition of the tenant has done.
    pub(crate) fn count_as(&self, name: String) {
        *self.lock().struck.entry(name).or_default() += 1;
    }

    /// Remembers the token of the next page while page tokens may expire.
    pub(crate) fn note_page(&self, asked: Asked<'_>, page: &Map<String, Value>) {
        let mut switches = self.lock();
        let may_expire =
            |fault: &Fault| matches!(fault.action, FaultAction::ExpirePageTokens { .. });
        if !switches.faults.iter().any(|(_, fault)| may_expire(fault)) {
            return;
        }
        let next = page.get("@odata.nextLink").and_then(Value::as_str);
        if let Some(token) = next.and_then(skip_token) {
            let path = asked.path.to_lowercase();
            let before = asked.query.get("$skiptoken").map_or(0, |token| {
                let key = (path.clone(), token.to_owned());
                switches
                    .page_tokens
                    .get(&key)
                    .map_or(0, |known| known.pages)
            });
            let given = GivenToken {
                pages: before + 1,
                given: Instant::now(),
            };
            switches.page_tokens.insert((path, token.to_owned()), given);
        }
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, PageMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Switches> {
        // The state is a list of switches: nothing can be half done in it.
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a fault that waits for a page token to age has found one.
fn is_due(
    fault: &Fault,
    asked: Asked<'_>,
    page_tokens: &mut HashMap<(String, String), GivenToken>,
    time_scale: f64,
) -> bool {
    let FaultAction::ExpirePageTokens { after_pages, after } = fault.action else {
        return true;
    };
    let Some(token) = asked.query.get("$skiptoken") else {
        return false;
    };
    let key = (asked.path.to_lowercase(), token.to_owned());
    let known = *page_tokens.entry(key).or_insert_with(|| GivenToken {
        pages: 1,
        given: Instant::now(),
    });
    let is_old = |limit: Duration| known.given.elapsed() >= limit.div_f64(time_scale);
    after_pages.is_some_and(|limit| known.pages >= limit) || after.is_some_and(is_old)
}
