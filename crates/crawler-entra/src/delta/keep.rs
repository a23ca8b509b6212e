//! The end of a run: where the next rounds begin is saved, and the report says how everything was read.

use std::collections::BTreeMap;

use contract::{CollectionReport, CollectionStatus, SaveDeltaToken, TokenText};
use serde::Deserialize as _;
use uuid::Uuid;

use super::{
    lock,
    token::{Lacking, Token},
    way::{Found, found_before},
};
use crate::{ProgressEvent, collect::Run, stopping::once_begun};

/// The stream of the run's checkpoint with collections that are forgiven what they lack.
const FORGIVEN: &str = "forgiven";

/// The same, with objects to look at once more, by endpoint.
const UNSEEN: &str = "unseen";

/// Saves where the next rounds begin of those endpoints that were read in full or whose changes were all read, and says in
/// the lines how they were read. To be called when all that was read has landed: a beginning that is older than what the
/// register holds costs some requests, a newer one loses changes.
pub(crate) async fn keep_tokens(run: &Run, lines: &mut [CollectionReport]) {
    let mut found = lock(&run.deltas.found).clone();
    for earlier in found_before(run) {
        found.entry(earlier.endpoint.clone()).or_insert(earlier);
    }
    for found in found.values() {
        if !run.cancel.is_cancelled() {
            keep(run, found, lines).await;
        }
        for line in lines.iter_mut().filter(|line| found.feeds(line)) {
            found.say(line);
        }
    }
}

impl Found {
    fn feeds(&self, line: &CollectionReport) -> bool {
        self.collections.contains(&line.collection)
    }

    /// Is this a collection that was left out because nothing tells whether it changed?
    fn left_out(&self, line: &CollectionReport) -> bool {
        !self.is_full && self.untold.contains(&line.collection)
    }

    /// Says in a line how its collection was read. What the last full reading could not see, a reading of changes does not
    /// see either.
    fn say(&self, line: &mut CollectionReport) {
        if !self.is_full
            && (line.status == CollectionStatus::Complete || self.left_out(line))
            && let Some(lacking) = self.lacking.get(&line.collection)
        {
            line.status = lacking.status;
            line.missing_permission
                .clone_from(&lacking.missing_permission);
            line.message = Some(format!("as in the last full reading: {}", lacking.reason));
        }
        let why = if self.left_out(line) {
            &self.why_unread
        } else {
            &self.why
        };
        if let Some(why) = why {
            line.message = Some(match line.message.take() {
                Some(message) => format!("{message}; {why}"),
                None => why.clone(),
            });
        }
    }

    /// What is known to be lacking now.
    fn lacking(&self, lines: &[&CollectionReport]) -> BTreeMap<String, Lacking> {
        let mut lacking = if self.is_full {
            BTreeMap::new()
        } else {
            self.lacking.clone()
        };
        let lacks = |line: &&&CollectionReport| {
            !matches!(
                line.status,
                CollectionStatus::Complete | CollectionStatus::Skipped
            )
        };
        let lines = lines.iter().filter(lacks);
        lacking.extend(lines.map(|line| (line.collection.clone(), Lacking::of(line))));
        lacking
    }

    /// What to keep, if everything was read; or that all is to be read.
    fn token(&self, run: &Run, lines: &[CollectionReport]) -> Option<Token> {
        let line_of = |name: &String| lines.iter().find(|line| line.collection == *name);
        let lines: Option<Vec<&CollectionReport>> = self.collections.iter().map(line_of).collect();
        let lines = lines?;
        // Those rows may have gone from the source before the beginning that was found.
        if lines.iter().any(|line| line.spared > 0) {
            return Some(Token::void());
        }
        let was_read = |line: &&CollectionReport| match line.status {
            CollectionStatus::Complete => true,
            CollectionStatus::Partial => is_forgiven(run, &line.collection),
            // Another permission is another reading.
            CollectionStatus::Forbidden => line.read == 0,
            _ => self.left_out(line),
        };
        let has_something =
            |line: &&CollectionReport| line.status != CollectionStatus::Forbidden && was_read(line);
        if !lines.iter().all(was_read) || !lines.iter().any(has_something) {
            return None;
        }
        let objects = if self.is_full {
            let objects = lines.iter().take(self.of_objects);
            (self.of_objects > 0).then(|| objects.map(|line| line.read).sum())
        } else {
            self.objects
        };
        Some(Token {
            link: self.link.clone()?,
            objects,
            again: unseen(run, &self.endpoint),
            lacking: self.lacking(&lines),
            is_void: false,
        })
    }
}

/// Notes, also for whoever goes on with the run, that a collection lacks nothing that reading again would bring.
pub(crate) async fn forgive(run: &Run, collection: &str) {
    lock(&run.deltas.forgiven).insert(collection.to_owned());
    let entry = crate::journal::entry(FORGIVEN, collection, true.into());
    if let Err(stopped) = run.journal.save(vec![entry]).await {
        tracing::debug!(%stopped, "that a collection is as good as complete was not remembered");
    }
}

/// Notes objects that Graph told of, did not call removed, and does not have: perhaps it lags behind itself, and the next run
/// looks once more.
pub(crate) async fn not_there(run: &Run, endpoint: &str, ids: Vec<Uuid>) {
    if ids.is_empty() {
        return;
    }
    let value = serde_json::to_value(&ids).expect("ids are JSON");
    lock(&run.deltas.unseen).insert(endpoint.to_owned(), ids);
    let entry = crate::journal::entry(UNSEEN, endpoint, value);
    if let Err(stopped) = run.journal.save(vec![entry]).await {
        tracing::debug!(%stopped, "objects to look at once more were not remembered");
    }
}

fn unseen(run: &Run, endpoint: &str) -> Vec<Uuid> {
    if let Some(ids) = lock(&run.deltas.unseen).get(endpoint) {
        return ids.clone();
    }
    let mut left = run.journal.all_left(UNSEEN);
    left.find(|(name, _)| *name == endpoint)
        .and_then(|(_, value)| Vec::deserialize(value).ok())
        .unwrap_or_default()
}

fn is_forgiven(run: &Run, collection: &str) -> bool {
    lock(&run.deltas.forgiven).contains(collection)
        || run
            .journal
            .all_left(FORGIVEN)
            .any(|(name, _)| name == collection)
}

async fn keep(run: &Run, found: &Found, lines: &[CollectionReport]) {
    let Some(register) = &run.register else {
        return;
    };
    let Some(text) = found.token(run, lines).and_then(|token| token.text()) else {
        return;
    };
    let token = SaveDeltaToken {
        config_hash: found.config_hash.clone(),
        token: TokenText(text),
        is_full_read: found.is_full,
    };
    let saving = register
        .client
        .save_delta_token(register.system_id, &found.endpoint, &token);
    if let Err(stopped) = once_begun(&run.cancel, saving).await {
        // The old one stays: the next run reads more than it need.
        let text = format!(
            "where the next changes of {} begin could not be saved: {stopped}",
            found.endpoint
        );
        run.progress.event(ProgressEvent::Message { text });
    }
}
