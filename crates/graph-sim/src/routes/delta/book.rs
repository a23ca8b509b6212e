//! The delta tokens given out and the rounds under way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::plan::Entry;
use super::{LostToken, Scope};
use crate::model::Tenant;
use crate::options::DeltaOptions;
use crate::server::answer::GraphError;
use crate::server::token::{base64_url, from_base64_url};

/// Mark our tokens, so that foreign ones are refused.
const TOKEN_MARK: &str = "DSdt:";
const PAGE_MARK: &str = "DSdp:";
/// How many rounds are kept for their pages.
const KEPT_CHAINS: usize = 64;

/// What the holder of a deltaLink has seen.
#[derive(Debug)]
pub(crate) struct DeltaToken {
    pub(crate) scope: Scope,
    /// The state its holder has been shown.
    pub(crate) shown: Arc<Tenant>,
    /// The state when the round began; newer than `shown` with replication delay.
    pub(crate) seen: Arc<Tenant>,
    /// The state the round before began from.
    pub(crate) before: Option<Arc<Tenant>>,
    expires: Instant,
}

/// One round, planned when it began.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) serial: u64,
    pub(crate) scope: Scope,
    /// Absent on the initial enumeration.
    pub(crate) from: Option<Arc<Tenant>>,
    pub(crate) to: Arc<Tenant>,
    pub(crate) seen: Arc<Tenant>,
    pub(crate) prefers_minimal: bool,
    pub(crate) pages: Vec<Vec<Entry>>,
}

#[derive(Debug)]
struct State {
    time_scale: f64,
    options: DeltaOptions,
    serial: u64,
    tokens: BTreeMap<u64, Arc<DeltaToken>>,
    chains: BTreeMap<u64, Arc<Chain>>,
}

/// Everything the simulator remembers about deltas.
#[derive(Debug)]
pub(crate) struct DeltaBook(Mutex<State>);

impl DeltaBook {
    pub(crate) fn new(options: DeltaOptions, time_scale: f64) -> Self {
        Self(Mutex::new(State {
            time_scale,
            options,
            serial: 0,
            tokens: BTreeMap::new(),
            chains: BTreeMap::new(),
        }))
    }

    pub(crate) fn options(&self) -> DeltaOptions {
        self.lock().options
    }

    pub(crate) fn set_options(&self, options: DeltaOptions) {
        self.lock().options = options;
    }

    /// Makes every deltaLink given out so far an expired one.
    pub(crate) fn expire_all(&self) {
        self.lock().tokens.clear();
    }

    pub(crate) fn next_serial(&self) -> u64 {
        let mut state = self.lock();
        state.serial += 1;
        state.serial
    }

    /// Gives out a token.
    pub(crate) fn issue(
        &self,
        scope: Scope,
        shown: &Arc<Tenant>,
        seen: &Arc<Tenant>,
        before: Option<Arc<Tenant>>,
    ) -> String {
        let serial = self.next_serial();
        let mut state = self.lock();
        let expires = Instant::now() + state.options.lifetime.div_f64(state.time_scale);
        // The round before is only needed to tell it again.
        let before = before.filter(|_| state.options.replay_share > 0.0);
        let token = DeltaToken {
            scope,
            shown: shown.clone(),
            seen: seen.clone(),
            before,
            expires,
        };
        state.tokens.insert(serial, Arc::new(token));
        state.forget_old();
        base64_url(format!("{TOKEN_MARK}{serial}").as_bytes())
    }

    /// The token, unless it has expired or never was.
    pub(crate) fn token(&self, text: &str, collection: &str) -> Result<Arc<DeltaToken>, LostToken> {
        let serial: u64 = unmarked(text, TOKEN_MARK)
            .and_then(|number| number.parse().ok())
            .ok_or(LostToken::Invalid)?;
        let state = self.lock();
        if serial > state.serial {
            return Err(LostToken::Invalid);
        }
        let token = state
            .tokens
            .get(&serial)
            .filter(|token| Instant::now() < token.expires)
            .ok_or(LostToken::Expired(state.options.expiry))?;
        if token.scope.collection != collection {
            return Err(LostToken::Invalid);
        }
        Ok(token.clone())
    }

    /// Keeps a round until its pages have been read.
    pub(crate) fn keep(&self, chain: Chain) -> Arc<Chain> {
        let chain = Arc::new(chain);
        let mut state = self.lock();
        state.chains.insert(chain.serial, chain.clone());
        state.forget_old();
        chain
    }

    /// The round and page a token leads to.
    pub(crate) fn page(
        &self,
        token: &str,
        collection: &str,
    ) -> Result<(Arc<Chain>, usize), GraphError> {
        let place: Option<(u64, usize)> = unmarked(token, PAGE_MARK).and_then(|place| {
            let (serial, page) = place.split_once(':')?;
            Some((serial.parse().ok()?, page.parse().ok()?))
        });
        let (serial, page) = place
            .ok_or_else(|| GraphError::bad_request("The specified page token value is invalid."))?;
        let state = self.lock();
        let chain = state
            .chains
            .get(&serial)
            .filter(|chain| chain.scope.collection == collection)
            .ok_or_else(GraphError::expired_page_token)?;
        Ok((chain.clone(), page))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Tokens and rounds are added and removed whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token that leads to a page of a round.
pub(crate) fn page_token(chain: &Chain, page: usize) -> String {
    base64_url(format!("{PAGE_MARK}{}:{page}", chain.serial).as_bytes())
}

impl State {
    /// Snapshots are large: only the newest ones stay, and with them the tokens and
    /// rounds that need no other.
    fn forget_old(&mut self) {
        while self.chains.len() > KEPT_CHAINS {
            self.chains.pop_first();
        }
        let mut needed: BTreeMap<u64, Vec<*const Tenant>> = BTreeMap::new();
        for (serial, token) in &self.tokens {
            let states = [Some(&token.shown), Some(&token.seen), token.before.as_ref()];
            needed.insert(*serial, pointers(states));
        }
        for (serial, chain) in &self.chains {
            let states = [Some(&chain.to), Some(&chain.seen), chain.from.as_ref()];
            needed.insert(*serial, pointers(states));
        }
        let mut kept: Vec<*const Tenant> = Vec::new();
        for (serial, states) in needed.iter().rev() {
            let fresh: Vec<*const Tenant> = states
                .iter()
                .copied()
                .filter(|state| !kept.contains(state))
                .collect();
            if kept.len() + fresh.len() > self.options.kept_versions.max(3) {
                self.tokens.remove(serial);
                self.chains.remove(serial);
            } else {
                kept.extend(fresh);
            }
        }
    }
}

fn pointers(states: [Option<&Arc<Tenant>>; 3]) -> Vec<*const Tenant> {
    let mut pointers: Vec<*const Tenant> = states.into_iter().flatten().map(Arc::as_ptr).collect();
    pointers.sort_unstable();
    pointers.dedup();
    pointers
}

fn unmarked(token: &str, mark: &str) -> Option<String> {
    let text = String::from_utf8(from_base64_url(token)?).ok()?;
    text.strip_prefix(mark).map(str::to_owned)
}
