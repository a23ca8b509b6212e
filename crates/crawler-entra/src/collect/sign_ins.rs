//! Sign-in activity: a list of users of its own, because Graph answers it at half a request a second.
//!
//! Nothing waits for it but the end of the run: every other collection has committed long before.

use std::{collections::HashSet, sync::Arc};

use contract::{CollectionReport, Entity, records::PrincipalActivity};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    collection::{Collection, Run, end_shared, unread},
    list::{Landed, List, Reader, number, read_list},
};
use crate::{
    delta::{Endpoint, Way, find_way},
    graph::{GraphError, Meter, Version},
    mapping::{self, SIGN_IN_KINDS, SIGN_IN_PROPERTIES},
    sink::{Sink, Target},
    stopping::Stopped,
};

const PERMISSION: &str = "AuditLog.Read.All";
/// The most users that Graph tells the activity of at a time.
const LARGEST_PAGE: u32 = 500;
/// Some tenants refuse more than this, in an error without a code.
const SHORT_PAGE: u32 = 120;
/// The names of the lines in the report, by kind.
pub(crate) const NAMES_OF_SIGN_INS: [&str; 3] = [
    "interactive sign-ins",
    "non-interactive sign-ins",
    "successful sign-ins",
];

/// One kind of activity.
struct Kind {
    collection: Collection,
    sink: Sink<PrincipalActivity>,
}

struct ActivityReader<'a> {
    kinds: &'a [Kind],
    seen: HashSet<Uuid>,
    has_unreadable: bool,
}

impl Reader for ActivityReader<'_> {
    async fn take(&mut self, values: Vec<Value>) -> Result<(), Stopped> {
        for (kind, rows) in self.kinds.iter().zip(self.sort(values)) {
            kind.sink.push_all(&rows).await?;
            kind.collection.add(rows.len() as u64);
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.seen.clear();
        self.has_unreadable = false;
        self.kinds.iter().for_each(|kind| kind.collection.restart());
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        let mut sessions = Vec::new();
        for kind in self.kinds {
            sessions.extend(kind.sink.land().await?);
        }
        let read: Vec<u64> = self
            .kinds
            .iter()
            .map(|kind| kind.collection.read())
            .collect();
        let unreadable = u64::from(self.has_unreadable);
        Ok(Some(Landed {
            state: json!({"read": read, "unreadable": unreadable}),
            sessions,
            entries: Vec::new(),
        }))
    }

    fn go_on(&mut self, state: &Value) {
        self.has_unreadable = number(&state["unreadable"]) > 0;
        for (place, kind) in self.kinds.iter().enumerate() {
            kind.collection.add(number(&state["read"][place]));
        }
    }
}

impl ActivityReader<'_> {
    fn sort(&mut self, values: Vec<Value>) -> [Vec<PrincipalActivity>; 3] {
        let mut sorted = [Vec::new(), Vec::new(), Vec::new()];
        for value in values {
            let Some(rows) = mapping::sign_ins(value) else {
                self.has_unreadable = true;
                continue;
            };
            let id = rows.iter().flatten().find_map(|row| row.principal_id);
            if id.is_some_and(|id| !self.seen.insert(id)) {
                continue;
            }
            for (kind, row) in sorted.iter_mut().zip(rows) {
                kind.extend(row);
            }
        }
        sorted
    }
}

/// When users last signed in.
pub(crate) async fn sign_ins(run: Arc<Run>) -> Vec<CollectionReport> {
    let endpoint = Endpoint {
        name: "signIns",
        select: SIGN_IN_PROPERTIES.join(","),
        collections: NAMES_OF_SIGN_INS.to_vec(),
        untold: NAMES_OF_SIGN_INS.to_vec(),
        is_silent: true,
        ..Endpoint::default()
    };
    if let Ok(Way::Changes(_)) = find_way(&run, &endpoint, &Meter::default()).await {
        return unread(&endpoint);
    }
    let kinds: Vec<Kind> = SIGN_IN_KINDS
        .into_iter()
        .zip(NAMES_OF_SIGN_INS)
        .map(|((kind, _), name)| {
            let scope = [("activityType", &kind)];
            let target = Target::new(Entity::PrincipalActivity, &scope, "entra:signIns:all");
            Kind {
                collection: Collection::start(&run, name, PERMISSION),
                sink: run.sink(target),
            }
        })
        .collect();
    let page_size = run.config.tuning.page_size.min(LARGEST_PAGE);
    let mut ended = read(&run, &kinds, page_size).await;
    let is_too_long = matches!(
        &ended,
        Err(Stopped::Source(GraphError::Refused { status: 400, .. }))
    );
    if is_too_long && page_size > SHORT_PAGE {
        for kind in &kinds {
            kind.collection.restart();
        }
        ended = read(&run, &kinds, SHORT_PAGE).await;
    }
    let mut reports = Vec::new();
    for kind in kinds {
        reports.push(end_shared(&run, kind.collection, &kind.sink, &ended, None).await);
    }
    reports
}

async fn read(run: &Run, kinds: &[Kind], page_size: u32) -> Result<(), Stopped> {
    let relative = format!(
        "users?$select={}&$top={page_size}",
        SIGN_IN_PROPERTIES.join(",")
    );
    let list = List {
        version: Version::V1,
        relative: &relative,
    };
    let mut reader = ActivityReader {
        kinds,
        seen: HashSet::new(),
        has_unreadable: false,
    };
    // The first kind pays for the requests of the shared list.
    read_list(run, &kinds[0].collection, list, &mut reader).await?;
    if reader.has_unreadable {
        return Err(GraphError::LimitedObjects.into());
    }
    Ok(())
}
