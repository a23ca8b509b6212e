//! How the changes of a round are spread over pages: split, interleaved, repeated.

use std::collections::HashSet;

use uuid::Uuid;

use super::Other;
use crate::model::Link;
use crate::options::DeltaOptions;
use crate::random::Random;

/// What a link points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Known(Link),
    Other(Other),
}

impl End {
    pub(crate) fn id(&self) -> Uuid {
        match self {
            Self::Known(link) => link.id,
            Self::Other(other) => other.id,
        }
    }
}

/// One link that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkChange {
    pub(crate) end: End,
    pub(crate) is_removed: bool,
}

/// Changed links by relation.
pub(crate) type RelationChanges = Vec<(&'static str, Vec<LinkChange>)>;

/// What a page says about an object.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// It is gone, for this reason.
    Removed(&'static str),
    /// Its properties, and these links.
    Shown(RelationChanges),
}

/// One item of a page.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Which part of its object's changes this is.
    pub(crate) fragment: usize,
    pub(crate) content: Content,
}

impl Entry {
    fn links(&self) -> usize {
        match &self.content {
            Content::Removed(_) => 0,
            Content::Shown(relations) => relations.iter().map(|(_, links)| links.len()).sum(),
        }
    }
}

/// Spreads a round over pages. `repeated` are the changes of the round before; those
/// that have no news of their own may be told again.
pub(crate) fn pages(
    entries: Vec<Entry>,
    repeated: Vec<Entry>,
    is_first_round: bool,
    serial: u64,
    options: &DeltaOptions,
) -> Vec<Vec<Entry>> {
    let mut random = Random::labelled(options.seed ^ serial, "delta");
    let fresh: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    let mut all: Vec<Entry> = repeated
        .into_iter()
        .filter(|entry| !fresh.contains(&entry.key) && random.chance(options.replay_share))
        .collect();
    let again: Vec<Entry> = entries
        .iter()
        .filter(|_| random.chance(options.replay_share))
        .cloned()
        .collect();
    all.extend(entries);
    all.extend(again);
    if is_first_round {
        all.extend((0..options.unknown_removals).map(|_| Entry {
            key: random.uuid().to_string(),
            fragment: 0,
            content: Content::Removed("changed"),
        }));
    }
    let mut all: Vec<Entry> = all
        .into_iter()
        .flat_map(|entry| fragments(entry, options.links_per_fragment.max(1)))
        .collect();
    if options.shuffled {
        random.shuffle(&mut all);
    } else {
        // First parts of all objects, then second parts: parts of one object are
        // interleaved with others.
        all.sort_by_key(|entry| entry.fragment);
    }
    let mut pages = filled(all, options);
    pages.extend((0..options.empty_pages).map(|_| Vec::new()));
    pages
}

fn filled(entries: Vec<Entry>, options: &DeltaOptions) -> Vec<Vec<Entry>> {
    let mut pages = vec![Vec::new()];
    let mut links = 0;
    for entry in entries {
        let weight = entry.links();
        let last = pages.last().map_or(0, Vec::len);
        let is_full = last >= options.page_size.max(1)
            || (last > 0 && links + weight > options.links_per_page);
        if is_full {
            pages.push(Vec::new());
            links = 0;
        }
        links += weight;
        if let Some(page) = pages.last_mut() {
            page.push(entry);
        }
    }
    pages
}

/// Splits an entry so that no part carries more than `limit` links.
fn fragments(entry: Entry, limit: usize) -> Vec<Entry> {
    let Content::Shown(relations) = &entry.content else {
        return vec![entry];
    };
    if entry.links() <= limit {
        return vec![entry];
    }
    relations
        .iter()
        .flat_map(|(name, links)| links.chunks(limit).map(|part| (*name, part.to_vec())))
        .enumerate()
        .map(|(fragment, part)| Entry {
            key: entry.key.clone(),
            fragment,
            content: Content::Shown(vec![part]),
        })
        .collect()
}
