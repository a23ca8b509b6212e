//! Access reviews: definitions, their rounds, and the decisions of each round that has begun.
//!
//! Decisions are history. A review that was deleted, or whose rounds Graph no longer lists, was decided all the same, so
//! its decisions stay in the register: the collection never says that what it read is all there is.

use std::{collections::HashMap, sync::Arc};

use contract::{CollectionReport, Entity, records::CertificationDecision};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    children::{ChildList, ChildReader},
    collection::{Collection, Ending, Run},
    feed::{Feed, Parent},
    list::{List, read_all},
};
use crate::{
    graph::{GraphError, Page, SubRequest, Version},
    mapping::{self, Mapped, Review, Round},
    sink::Target,
};

const PERMISSION: &str = "AccessReview.Read.All";
const ROOT: &str = "identityGovernance/accessReviews/definitions";
/// Access reviews refuse larger pages.
const LARGEST_PAGE: u32 = 100;
/// No limits are published; few at once have proved safe.
const IN_FLIGHT: usize = 3;

/// What a round belongs to.
type Rounds = HashMap<Uuid, (Arc<Review>, Round)>;

/// What is known before decisions are read.
#[derive(Default)]
struct Known {
    rounds: Rounds,
    /// The rounds in the order of the lists.
    parents: Vec<Parent>,
    /// Reviews whose rounds could not be read, and why.
    left_out: Vec<(Parent, String)>,
    /// Objects without an id were among the lists.
    has_unreadable: bool,
}

/// Reads the decisions of all rounds that have begun.
pub(crate) async fn review_decisions(run: Arc<Run>) -> CollectionReport {
    let collection = Collection::start(&run, "review decisions", PERMISSION);
    let known = match rounds(&run, &collection).await {
        Ok(known) => known,
        Err(error) => {
            return collection.finish(Ending::stopped(&error.into(), false, PERMISSION));
        }
    };
    let reader = Arc::new(reader(&run, collection, known.rounds));
    for (review, reason) in known.left_out {
        reader.leave_out(&review, reason);
    }
    let shared = reader.clone();
    let feed = Feed::of(&run, "review rounds", known.parents, !known.has_unreadable).await;
    let all_read = if let Ok(feed) = feed {
        let read = move |run: Arc<Run>, rounds: Vec<Parent>| {
            let reader = shared.clone();
            async move { reader.read(&run, &rounds).await }
        };
        feed.read(&run, IN_FLIGHT, read, || reader.land()).await
    } else {
        drop(shared);
        false
    };
    match Arc::try_unwrap(reader) {
        Ok(reader) => reader.finish(&run, all_read, None).await,
        Err(_) => super::collection::crashed("a reader of review decisions did not end"),
    }
}

fn reader(run: &Run, collection: Collection, rounds: Rounds) -> ChildReader<CertificationDecision> {
    let target = Target::new(Entity::CertificationDecisions, &[], "entra:reviews:begun");
    let list = ChildList {
        of: "round of a review",
        version: Version::V1,
        address: |_, _| String::new(),
        map: |_, _| Mapped::Unreadable,
        estimate: 1.0,
        has_windows: false,
    };
    let rounds = Arc::new(rounds);
    let known = rounds.clone();
    ChildReader::new(list, collection, run.sink(target))
        .at(move |round, page_size| {
            let review = known.get(&round).map_or(Uuid::nil(), |(one, _)| one.id);
            let top = page_size.min(LARGEST_PAGE);
            format!("/{ROOT}/{review}/instances/{round}/decisions?$top={top}")
        })
        .mapped_by(move |round, value| match rounds.get(&round.id) {
            Some((review, round)) => mapping::review_decision((review, round), value).into(),
            None => Mapped::Unreadable,
        })
        .keeping_history()
}

/// All reviews with their rounds. A review whose rounds cannot be read is named, the others are read.
async fn rounds(run: &Run, collection: &Collection) -> Result<Known, GraphError> {
    let top = run.config.tuning.page_size.min(LARGEST_PAGE);
    let relative = format!("{ROOT}?$select=id,displayName,scope&$top={top}");
    let list = List {
        version: Version::V1,
        relative: &relative,
    };
    let mut known = Known::default();
    let mut reviews: Vec<Arc<Review>> = Vec::new();
    for review in read_all(run, collection, list, mapping::review).await? {
        match review {
            Some(review) => reviews.push(Arc::new(review)),
            None => known.has_unreadable = true,
        }
    }
    for some in reviews.chunks(SubRequest::PER_BATCH) {
        let requests: Vec<SubRequest> = some
            .iter()
            .map(|review| SubRequest {
                url: format!("/{}", rounds_address(review.id, top)),
                estimate: 1.0,
            })
            .collect();
        let answers = run
            .graph
            .batch_each(Version::V1, &requests, &collection.meter)
            .await;
        for (review, answer) in some.iter().zip(answers) {
            let read = rounds_of(run, collection, (review.id, top), answer).await;
            known.take(review, read);
        }
    }
    Ok(known)
}

fn rounds_address(review: Uuid, top: u32) -> String {
    format!("{ROOT}/{review}/instances?$select=id,status,scope&$top={top}")
}

/// The rounds of a review: its first page came in a batch, and mostly there is no other.
async fn rounds_of(
    run: &Run,
    collection: &Collection,
    (review, top): (Uuid, u32),
    first: Result<Value, GraphError>,
) -> Result<Vec<Option<Round>>, GraphError> {
    match Page::deserialize(first?) {
        Ok(page) if page.next_link.is_none() => {
            Ok(page.value.into_iter().map(mapping::review_round).collect())
        }
        _ => {
            let list = List {
                version: Version::V1,
                relative: &rounds_address(review, top),
            };
            read_all(run, collection, list, mapping::review_round).await
        }
    }
}

impl Known {
    fn take(&mut self, review: &Arc<Review>, read: Result<Vec<Option<Round>>, GraphError>) {
        let parent = |id| Parent {
            id,
            name: review.name.clone(),
            has_hidden_members: false,
        };
        let rounds = match read {
            Ok(rounds) => rounds,
            Err(error) => {
                self.left_out.push((parent(review.id), error.to_string()));
                return;
            }
        };
        for round in rounds {
            let Some(round) = round else {
                self.left_out.push((
                    parent(review.id),
                    "a round of it came without an id".to_owned(),
                ));
                continue;
            };
            // A round that is to come has no decisions yet.
            if round.has_begun && !self.rounds.contains_key(&round.id) {
                self.parents.push(parent(round.id));
                self.rounds.insert(round.id, (review.clone(), round));
            }
        }
    }
}
