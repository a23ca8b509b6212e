//! How an endpoint is read in this run, and why.

use std::{collections::BTreeMap, time::Duration};

use contract::DeltaToken;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Change, Endpoint, Mode, Way, lock,
    token::{Lacking, Token, config_hash},
};
use crate::{
    collect::Run,
    graph::{Fault, GraphError, Meter},
    journal::entry,
    stopping::Stopped,
};

/// Graph keeps tokens for seven days.
const MAX_TOKEN_AGE: Duration = Duration::from_hours(6 * 24);

/// More changes than this are read in full.
const MAX_CHANGES: usize = 20_000;

/// One of so many objects may have changed (20 %), and in any tenant as many as fit a batch.
const ONE_OF: u64 = 5;
const ALWAYS_FEW: usize = 20;

/// The streams of the run's checkpoint: ways by endpoint, and what changed, in parts.
const WAYS: &str = "way";
const CHANGES_PER_ENTRY: usize = 500;

fn changes_stream(endpoint: &str) -> String {
    format!("changed:{endpoint}")
}

/// The way that was found for an endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    pub endpoint: String,
    pub config_hash: String,
    pub is_full: bool,
    /// Why so, for the report.
    pub why: Option<String>,
    /// Where the next round begins, if that is known.
    pub link: Option<String>,
    /// How many objects there are, as far as known.
    pub objects: Option<u64>,
    pub collections: Vec<String>,
    /// How many of the collections have the endpoint's own objects.
    pub of_objects: usize,
    /// Collections whose changes are not told, and which are not read unless everything is.
    pub untold: Vec<String>,
    /// Why those are not read, for the report.
    pub why_unread: Option<String>,
    /// What the last full reading could not see, by collection.
    pub lacking: BTreeMap<String, Lacking>,
}

impl Found {
    /// Everything of the endpoint is to be read, until something better is found.
    fn full(endpoint: &Endpoint, granted: &str) -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            endpoint: endpoint.name.to_owned(),
            config_hash: config_hash(endpoint, granted),
            is_full: true,
            why: None,
            link: None,
            objects: None,
            collections: names(&endpoint.collections),
            of_objects: endpoint.of_objects,
            untold: names(&endpoint.untold),
            why_unread: None,
            lacking: BTreeMap::new(),
        }
    }
}

/// What was found by earlier attempts of the run.
pub(super) fn found_before(run: &Run) -> impl Iterator<Item = Found> {
    let entries = run.journal.all_left(WAYS);
    entries.filter_map(|(_, value)| Found::deserialize(value).ok())
}

/// Finds out how to read an endpoint. `Err` only when the run cannot go on.
pub(crate) async fn find_way(
    run: &Run,
    endpoint: &Endpoint,
    meter: &Meter,
) -> Result<Way, Stopped> {
    if run.register.is_none() {
        return Ok(Way::Full);
    }
    let earlier = found_before(run).find(|found| found.endpoint == endpoint.name);
    let (found, changes) = if let Some(found) = earlier {
        (found, changes_before(run, endpoint))
    } else {
        let (found, changes) = look(run, endpoint, meter).await?;
        remember(run, &found, &changes).await?;
        (found, changes)
    };
    let way = if found.is_full {
        Way::Full
    } else {
        Way::Changes(changes)
    };
    lock(&run.deltas.found).insert(found.endpoint.clone(), found);
    Ok(way)
}

/// Saves the way; it comes last, because it says that its changes are there.
async fn remember(run: &Run, found: &Found, changes: &[Change]) -> Result<(), Stopped> {
    let stream = changes_stream(&found.endpoint);
    let parts = changes.chunks(CHANGES_PER_ENTRY).enumerate();
    let mut entries: Vec<_> = parts
        .map(|(number, part)| {
            let part: Vec<(Uuid, bool)> = part.iter().map(|c| (c.id, c.is_removed)).collect();
            let value = serde_json::to_value(part).expect("ids are JSON");
            entry(stream.as_str(), number.to_string(), value)
        })
        .collect();
    let value = serde_json::to_value(found).expect("texts and numbers are JSON");
    entries.push(entry(WAYS, found.endpoint.as_str(), value));
    run.save(entries).await
}

fn changes_before(run: &Run, endpoint: &Endpoint) -> Vec<Change> {
    let stream = changes_stream(endpoint.name);
    let parts = run.journal.all_left(&stream);
    parts
        .filter_map(|(_, value): (_, &Value)| Vec::<(Uuid, bool)>::deserialize(value).ok())
        .flatten()
        .map(|(id, is_removed)| Change { id, is_removed })
        .collect()
}

/// Why everything is read.
struct Because {
    why: Option<String>,
    /// A beginning that was found on the way.
    link: Option<String>,
}

impl Because {
    fn of(why: impl Into<String>) -> Self {
        Self {
            why: Some(why.into()),
            link: None,
        }
    }
}

async fn look(
    run: &Run,
    endpoint: &Endpoint,
    meter: &Meter,
) -> Result<(Found, Vec<Change>), Stopped> {
    let full = Found::full(endpoint, &run.graph.granted().await);
    let because = match usable(run, endpoint, &full) {
        Err(because) => because,
        Ok((known, token)) if endpoint.is_silent => {
            return Ok((not_read(full, known, token), Vec::new()));
        }
        Ok((known, token)) => match follow(run, endpoint, &token, meter).await? {
            Err(because) => because,
            Ok((changes, link)) => {
                return Ok((only_changes(full, known, token, &changes, link), changes));
            }
        },
    };
    let mut found = full;
    let mut why = because.why.map(|why| format!("read in full: {why}"));
    found.link = because.link;
    if endpoint.is_silent {
        // There is nothing to begin; that and when it was read is kept.
        found.link = Some(String::new());
    } else if found.link.is_none() {
        let beginning = run
            .graph
            .delta_from_now(endpoint.name, &endpoint.select, meter);
        match beginning.await {
            Ok(link) => found.link = Some(link),
            Err(error) if ends_all(&error) => return Err(error.into()),
            Err(error) => {
                let also = format!("changes cannot be followed: {error}");
                why = Some(why.map_or(also.clone(), |why| format!("{why}; {also}")));
            }
        }
    }
    found.why = why;
    Ok((found, Vec::new()))
}

/// The way to read these changes and nothing else.
fn only_changes(
    full: Found,
    known: &DeltaToken,
    token: Token,
    changes: &[Change],
    link: String,
) -> Found {
    let ago = ago(Duration::from_secs(known.age_seconds));
    let gone = changes.iter().filter(|change| change.is_removed).count();
    let why = if changes.is_empty() {
        format!("nothing changed since the last run, {ago}")
    } else {
        let there = changes.len() - gone;
        format!(
            "only what changed since the last run, {ago}: {there} to read again, {gone} said to be gone"
        )
    };
    Found {
        why: Some(why),
        link: Some(link),
        ..not_read(full, known, token)
    }
}

/// The way to read nothing.
fn not_read(full: Found, known: &DeltaToken, token: Token) -> Found {
    let age = known.full_read_age_seconds.unwrap_or(known.age_seconds);
    let ago = ago(Duration::from_secs(age));
    let why = format!("not read: Graph does not tell its changes, and the last reading was {ago}");
    Found {
        is_full: false,
        why_unread: Some(why),
        objects: token.objects,
        lacking: token.lacking,
        ..full
    }
}

/// The token of the endpoint, if it may be used.
fn usable<'a>(
    run: &'a Run,
    endpoint: &Endpoint,
    found: &Found,
) -> Result<(&'a DeltaToken, Token), Because> {
    let mode = run.config.mode;
    if mode == Mode::Full {
        return Err(Because {
            why: None,
            link: None,
        });
    }
    let known = (run.deltas.known.iter()).find(|token| token.endpoint == found.endpoint);
    let Some(known) = known else {
        return Err(Because::of("no earlier reading is known"));
    };
    if known.config_hash != found.config_hash {
        return Err(Because::of(
            "something else is read than by the last run, or with other permissions",
        ));
    }
    let age = Duration::from_secs(known.age_seconds);
    if age > MAX_TOKEN_AGE {
        let ago = ago(age);
        return Err(Because::of(format!("the last run was {ago}")));
    }
    let full_read = known.full_read_age_seconds.map(Duration::from_secs);
    match full_read {
        None => return Err(Because::of("no full reading is known")),
        Some(age) if mode == Mode::Auto && age >= run.config.full_read_every => {
            let ago = ago(age);
            return Err(Because::of(format!("the last full reading was {ago}")));
        }
        Some(age) if endpoint.hides_changes() && age >= run.config.untold_read_every => {
            let ago = ago(age);
            return Err(Because::of(format!(
                "Graph does not tell every change, and the last full reading was {ago}"
            )));
        }
        Some(_) => {}
    }
    match Token::parse(&known.token.0) {
        Some(token) if token.is_void => Err(Because::of(
            "another load wrote rows while the last run read",
        )),
        Some(token) => Ok((known, token)),
        None => Err(Because::of("what the last run kept is not readable")),
    }
}

/// What changed since the token, and where the next round begins; or why that is of no use.
async fn follow(
    run: &Run,
    endpoint: &Endpoint,
    token: &Token,
    meter: &Meter,
) -> Result<Result<(Vec<Change>, String), Because>, Stopped> {
    let few = |objects: u64| usize::try_from(objects / ONE_OF).unwrap_or(MAX_CHANGES);
    let most = match token.objects {
        _ if endpoint.is_read_whole => 0,
        Some(objects) => few(objects).clamp(ALWAYS_FEW, MAX_CHANGES),
        None => MAX_CHANGES,
    };
    let (mut named, link) = match run.graph.delta(&token.link, most, meter).await {
        Ok(told) => told,
        Err(error) if ends_all(&error) => return Err(error.into()),
        Err(error) => {
            if matches!(error, GraphError::Refused { .. }) {
                meter.got_over_one(Fault::RefusedDelta);
            }
            let why = format!("the changes since the last run are not to be had ({error})");
            return Ok(Err(Because::of(why)));
        }
    };
    if named.len() > most {
        let why = if most == 0 {
            "something changed".to_owned()
        } else {
            format!("more than {most} objects changed")
        };
        return Ok(Err(Because {
            why: Some(why),
            link: (!link.is_empty()).then_some(link),
        }));
    }
    // Not there a run ago, and not called removed: if they still are not, they are gone.
    for id in &token.again {
        named.insert(*id, true);
    }
    let changes = named
        .into_iter()
        .map(|(id, is_removed)| Change { id, is_removed });
    Ok(Ok((changes.collect(), link)))
}

/// Does this end the whole run, and not only the hope for a delta?
fn ends_all(error: &GraphError) -> bool {
    matches!(
        error,
        GraphError::Cancelled | GraphError::SignIn(_) | GraphError::Unauthorized
    )
}

/// How long ago, for people.
fn ago(span: Duration) -> String {
    let (value, unit) = match span.as_secs() {
        0..60 => return "moments ago".to_owned(),
        seconds @ 60..7_200 => (seconds / 60, "minute"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{value} {unit}{} ago", if value == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_told_in_the_unit_that_fits() {
        let told = |seconds| ago(Duration::from_secs(seconds));
        assert_eq!(told(1), "moments ago");
        assert_eq!(told(119), "1 minute ago");
        assert_eq!(told(3_600), "60 minutes ago");
        assert_eq!(told(86_400), "24 hours ago");
        assert_eq!(told(7 * 86_400), "7 days ago");
    }
}
