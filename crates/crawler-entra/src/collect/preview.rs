//! How many users a filter makes identities, without sending anything.

use std::collections::HashSet;

use contract::records::Principal;
use serde_json::Value;
use uuid::Uuid;

use super::{
    collection::{Collection, Run},
    list::{Landed, List, Reader, read_list},
    principals::{PERMISSION, further_properties, select_list},
};
use crate::{
    graph::{GraphError, Version},
    identity::{IdentityFilter, IdentityPreview, UserSample},
    mapping,
    stopping::Stopped,
};

/// Users that are shown of each kind.
const SAMPLES: usize = 10;

/// Reads all users and counts.
pub(crate) async fn identities(
    run: &Run,
    filter: &IdentityFilter,
) -> Result<IdentityPreview, Stopped> {
    let collection = Collection::start(run, "users", PERMISSION);
    let select = select_list(mapping::USER_PROPERTIES, &further_properties(run));
    let relative = format!(
        "users?$select={select}&$expand=manager($select=id)&$top={}",
        run.config.tuning.page_size
    );
    let list = List {
        version: Version::V1,
        relative: &relative,
    };
    let mut counter = Counter {
        run,
        collection: &collection,
        filter,
        seen: HashSet::new(),
        people: HashSet::new(),
        preview: IdentityPreview::default(),
        has_unreadable: false,
    };
    read_list(run, &collection, list, &mut counter).await?;
    if counter.has_unreadable {
        return Err(GraphError::LimitedObjects.into());
    }
    let mut preview = counter.preview;
    preview.identities = counter.people.len() as u64;
    Ok(preview)
}

struct Counter<'a> {
    run: &'a Run,
    collection: &'a Collection,
    filter: &'a IdentityFilter,
    seen: HashSet<Uuid>,
    people: HashSet<Uuid>,
    preview: IdentityPreview,
    has_unreadable: bool,
}

impl Reader for Counter<'_> {
    async fn take(&mut self, values: Vec<Value>) -> Result<(), Stopped> {
        self.collection.add(values.len() as u64);
        for value in values {
            match mapping::user(value) {
                Some(user) => self.count(&user),
                None => self.has_unreadable = true,
            }
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.seen.clear();
        self.people.clear();
        self.preview = IdentityPreview::default();
        self.has_unreadable = false;
        self.collection.restart();
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        Ok(None)
    }

    fn go_on(&mut self, _state: &Value) {}
}

impl Counter<'_> {
    fn count(&mut self, user: &Principal) {
        if user.id.is_some_and(|id| !self.seen.insert(id)) {
            return;
        }
        self.preview.users += 1;
        let samples = if self.filter.matches(user) {
            self.preview.matching += 1;
            let key = self.run.config.identity_key;
            self.people
                .extend(mapping::identity_id(Uuid::nil(), key, user));
            &mut self.preview.matching_samples
        } else {
            &mut self.preview.other_samples
        };
        if samples.len() < SAMPLES {
            samples.push(UserSample {
                id: user.id,
                display_name: user.display_name.clone(),
                user_principal_name: user.user_principal_name.clone(),
            });
        }
    }
}
