//! What is made of the users while they are read: identities with their accounts, departments with their members.
//!
//! None of it is asked of Graph; all of it is as complete as the list of users is. A list that breaks off removes nothing.

use std::collections::{BTreeMap, HashMap};

use contract::{
    CollectionReport, Entity,
    records::{Context, ContextMember, Identity, IdentityMember, Principal, context_type},
};
use serde::Serialize;
use uuid::Uuid;

use super::{
    collection::{Collection, Run, end_shared, skipped},
    principals::PERMISSION,
};
use crate::{
    identity::{IdentityFilter, IdentityKey},
    mapping,
    sink::{Sink, Target},
    stopping::Stopped,
};

/// Records for which a session is not opened yet or that fill a batch.
const AT_ONCE: usize = 1_000;

/// The names of the collections of identities, and of departments.
const IDENTITIES: [&str; 2] = ["identities", "identity accounts"];
const DEPARTMENTS: [&str; 2] = ["departments", "department members"];

/// The people behind the users of a list.
pub(super) struct People {
    tenant: Uuid,
    identities: Option<Identities>,
    departments: Option<Departments>,
}

/// Identities and their accounts.
struct Identities {
    filter: IdentityFilter,
    key: IdentityKey,
    collection: Collection,
    members_collection: Collection,
    sink: Sink<Identity>,
    members_sink: Sink<IdentityMember>,
    /// People with a personnel number, who may have further accounts on later pages.
    waiting: BTreeMap<Uuid, Person>,
}

/// Somebody with one or more accounts.
struct Person {
    identity: Identity,
    rank: Rank,
    accounts: Vec<(Uuid, Option<String>)>,
}

/// The account that stands for a person has the smallest rank: one that can sign in, of a member, with the smallest id.
type Rank = (bool, bool, Uuid);

/// Departments and who is in them.
struct Departments {
    collection: Collection,
    members_collection: Collection,
    sink: Sink<Context>,
    members_sink: Sink<ContextMember>,
    numbers: HashMap<String, u32>,
    /// Users, each with the number of a department; their people, where those are known. Kept small: there is one for each
    /// user of the tenant until the list ends.
    principals: Vec<(u32, Uuid)>,
    identities: Vec<(u32, Uuid)>,
}

impl People {
    /// What people are made by. Departments hold people where people are known, so it is theirs, too.
    pub fn question(run: &Run) -> String {
        let filter = run.config.identity_filter.as_ref();
        filter.map_or("none".to_owned(), |filter| {
            let key = run.config.identity_key;
            format!("{}:{key:?}", filter.fingerprint())
        })
    }

    /// The names of the collections that the configuration asks for.
    pub fn names(run: &Run) -> Vec<&'static str> {
        let (has_filter, has_contexts) = (
            run.config.identity_filter.is_some(),
            run.config.selection.contexts,
        );
        [(has_filter, IDENTITIES), (has_contexts, DEPARTMENTS)]
            .into_iter()
            .filter(|(is_wanted, _)| *is_wanted)
            .flat_map(|(_, names)| names)
            .collect()
    }

    /// The lines of what the configuration does not ask for.
    pub fn unwanted(run: &Run) -> Option<CollectionReport> {
        let has_filter = run.config.identity_filter.is_some();
        (!has_filter).then(|| skipped(IDENTITIES[0], "no identity filter says who is a person"))
    }

    /// What the configuration asks for.
    pub fn of(run: &Run) -> Self {
        let filter = run.config.identity_filter.clone();
        let question = Self::question(run);
        Self {
            tenant: run.tenant_id,
            departments: run
                .config
                .selection
                .contexts
                .then(|| Departments::new(run, &question)),
            identities: filter.map(|filter| Identities::new(run, filter, &question)),
        }
    }

    /// The list of users starts again.
    pub fn restart(&mut self) {
        if let Some(identities) = &mut self.identities {
            identities.collection.restart();
            identities.members_collection.restart();
            identities.waiting.clear();
        }
        if let Some(departments) = &mut self.departments {
            departments.principals.clear();
            departments.identities.clear();
            departments.numbers.clear();
        }
    }

    /// Takes users, each once.
    pub async fn take(&mut self, users: &[Principal]) -> Result<(), Stopped> {
        let mut found = Found::default();
        for user in users {
            let Some(principal) = user.id else { continue };
            let identity = match &mut self.identities {
                Some(identities) => identities.take(self.tenant, user, &mut found),
                None => None,
            };
            if let Some(departments) = &mut self.departments
                && let Some(name) = mapping::department_name(user)
            {
                let department = departments.number(name);
                departments.principals.push((department, principal));
                departments
                    .identities
                    .extend(identity.map(|identity| (department, identity)));
            }
        }
        match &self.identities {
            Some(identities) => identities.push(found).await,
            None => Ok(()),
        }
    }

    /// Sends what had to wait for the end of the list, commits or gives up, and reports.
    pub async fn finish(self, run: &Run, ended: &Result<(), Stopped>) -> Vec<CollectionReport> {
        let has_identities = self
            .identities
            .as_ref()
            .is_some_and(|identities| !identities.is_empty());
        let mut reports = match self.identities {
            Some(identities) => identities.finish(run, ended).await,
            None => Self::unwanted(run).into_iter().collect(),
        };
        if let Some(departments) = self.departments {
            reports.extend(
                departments
                    .finish(run, self.tenant, has_identities, ended)
                    .await,
            );
        }
        reports
    }
}

/// Identities that are known in full already.
#[derive(Default)]
struct Found {
    identities: Vec<Identity>,
    members: Vec<IdentityMember>,
}

impl Identities {
    fn new(run: &Run, filter: IdentityFilter, question: &str) -> Self {
        let target = |entity| Target::new(entity, &[], &format!("entra:identities:{question}"));
        Self {
            filter,
            key: run.config.identity_key,
            collection: Collection::start(run, IDENTITIES[0], PERMISSION),
            members_collection: Collection::start(run, IDENTITIES[1], PERMISSION),
            sink: run.sink(target(Entity::Identities)),
            members_sink: run.sink(target(Entity::IdentityMembers)),
            waiting: BTreeMap::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.collection.read() == 0 && self.waiting.is_empty()
    }

    /// The identity of a user, if the filter makes it one.
    fn take(&mut self, tenant: Uuid, user: &Principal, found: &mut Found) -> Option<Uuid> {
        if !self.filter.matches(user) {
            return None;
        }
        let account = user.id?;
        let id = mapping::identity_id(tenant, self.key, user)?;
        let account_type = user.principal_type.as_ref().map(ToString::to_string);
        let has_number = user
            .employee_id
            .as_deref()
            .is_some_and(|number| !number.trim().is_empty());
        if self.key == IdentityKey::EmployeeId && has_number {
            self.wait_for_more(id, account, account_type, user);
        } else {
            found.identities.push(mapping::identity(id, user));
            let member = mapping::identity_member(id, account, account_type, true);
            found.members.push(member);
        }
        Some(id)
    }

    fn wait_for_more(
        &mut self,
        id: Uuid,
        account: Uuid,
        account_type: Option<String>,
        user: &Principal,
    ) {
        let is_guest = account_type.as_deref() == Some("ExternalUser");
        let rank = (user.account_enabled != Some(true), is_guest, account);
        let person = self.waiting.entry(id).or_insert_with(|| Person {
            identity: mapping::identity(id, user),
            rank,
            accounts: Vec::new(),
        });
        if rank < person.rank {
            person.rank = rank;
            person.identity = mapping::identity(id, user);
        }
        person.accounts.push((account, account_type));
    }

    async fn push(&self, found: Found) -> Result<(), Stopped> {
        self.sink.push_all(&found.identities).await?;
        self.members_sink.push_all(&found.members).await?;
        self.collection.add(found.identities.len() as u64);
        self.members_collection.add(found.members.len() as u64);
        Ok(())
    }

    async fn push_waiting(&mut self) -> Result<(), Stopped> {
        let mut found = Found::default();
        for (id, person) in std::mem::take(&mut self.waiting) {
            for (account, account_type) in person.accounts {
                let is_primary = account == person.rank.2;
                let member = mapping::identity_member(id, account, account_type, is_primary);
                found.members.push(member);
            }
            found.identities.push(person.identity);
            if found.members.len() >= AT_ONCE {
                self.push(std::mem::take(&mut found)).await?;
            }
        }
        self.push(found).await
    }

    async fn finish(mut self, run: &Run, ended: &Result<(), Stopped>) -> Vec<CollectionReport> {
        // Of a list that broke off, nobody knows all accounts of a person.
        let failed = match ended {
            Ok(()) => self.push_waiting().await.err().map(Err),
            Err(_) => None,
        };
        let ended = failed.as_ref().unwrap_or(ended);
        let whole = (self.collection, self.sink);
        end_both(
            run,
            whole,
            (self.members_collection, self.members_sink),
            ended,
        )
        .await
    }
}

/// Ends what people are made into, and who belongs to it.
async fn end_both<W: Serialize, M: Serialize>(
    run: &Run,
    (whole, whole_sink): (Collection, Sink<W>),
    (members, members_sink): (Collection, Sink<M>),
    ended: &Result<(), Stopped>,
) -> Vec<CollectionReport> {
    vec![
        end_shared(run, whole, &whole_sink, ended, None).await,
        end_shared(run, members, &members_sink, ended, None).await,
    ]
}

impl Departments {
    fn new(run: &Run, question: &str) -> Self {
        let scope = [("contextType", &context_type::DEPARTMENT)];
        let target = |entity| Target::new(entity, &scope, &format!("entra:departments:{question}"));
        Self {
            collection: Collection::start(run, DEPARTMENTS[0], PERMISSION),
            members_collection: Collection::start(run, DEPARTMENTS[1], PERMISSION),
            sink: run.sink(target(Entity::Contexts)),
            members_sink: run.sink(target(Entity::ContextMembers)),
            numbers: HashMap::new(),
            principals: Vec::new(),
            identities: Vec::new(),
        }
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.to_owned(), number);
        number
    }

    async fn push(&mut self, tenant: Uuid, has_identities: bool) -> Result<(), Stopped> {
        let (member_type, mut members) = if has_identities {
            ("Identity", std::mem::take(&mut self.identities))
        } else {
            ("Principal", std::mem::take(&mut self.principals))
        };
        // Several accounts of one person are in a department once.
        members.sort_unstable();
        members.dedup();
        let mut names: Vec<(&String, &u32)> = self.numbers.iter().collect();
        names.sort_unstable_by_key(|(_, number)| **number);
        let ids: Vec<Uuid> = names
            .iter()
            .map(|(name, _)| mapping::department_id(tenant, name))
            .collect();
        let contexts: Vec<Context> = names
            .iter()
            .zip(&ids)
            .map(|((name, _), id)| mapping::department(*id, name, member_type))
            .collect();
        self.sink.push_all(&contexts).await?;
        self.collection.add(contexts.len() as u64);
        for some in members.chunks(AT_ONCE) {
            let records: Vec<ContextMember> = some
                .iter()
                .filter_map(|(department, member)| {
                    let department = ids.get(*department as usize)?;
                    Some(mapping::department_member(
                        *department,
                        *member,
                        member_type,
                    ))
                })
                .collect();
            self.members_sink.push_all(&records).await?;
            self.members_collection.add(records.len() as u64);
        }
        Ok(())
    }

    async fn finish(
        mut self,
        run: &Run,
        tenant: Uuid,
        has_identities: bool,
        ended: &Result<(), Stopped>,
    ) -> Vec<CollectionReport> {
        // Of a list that broke off, nobody knows whether there are identities at all, and which kind of member they have.
        let failed = match ended {
            Ok(()) => self.push(tenant, has_identities).await.err().map(Err),
            Err(_) => None,
        };
        let ended = failed.as_ref().unwrap_or(ended);
        let whole = (self.collection, self.sink);
        end_both(
            run,
            whole,
            (self.members_collection, self.members_sink),
            ended,
        )
        .await
    }
}
