//! Who calls: a key, a person, or a person by a token of theirs.

use contract::{KeyInfo, Permission, Role, SignedInBy, SystemId};
use uuid::Uuid;

use super::{address::Origin, life::Realm};
use crate::error::ApiError;

/// Who calls, and what they may do now. Every handler starts from it, but those that need nobody.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The workspace of the key or the account; nothing outside it exists for the caller.
    pub workspace_id: i32,
    /// The key or the person.
    pub who: Who,
    /// The systems that the caller may touch; `None` for all of the workspace.
    pub system_ids: Option<Vec<SystemId>>,
    /// The key that this one came from by rotations, itself where there were none: what that one began is the caller's
    /// too. Of a person something that no key is called.
    pub lineage: String,
    /// Where the call came from.
    pub origin: Origin,
}

/// A key or a person.
#[derive(Debug, Clone)]
pub enum Who {
    /// A key that exists, is not revoked and has not expired.
    Key(KeyInfo),
    /// A person with a session.
    Person(Person),
    /// A person by a personal token; the key's permissions are those of the person's role.
    Token(KeyInfo, Person),
}

/// A person who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// The account.
    pub account_id: Uuid,
    /// The person's name.
    pub display_name: String,
    /// What the person may do now; `None` for nothing.
    pub role: Option<Role>,
    /// How this call is signed in.
    pub signed_in_by: SignedInBy,
    /// What is stored of the session's id; `None` for a token.
    pub session: Option<[u8; 32]>,
}

impl Person {
    fn permissions(&self) -> &'static [Permission] {
        self.role.map_or(&[], Role::permissions)
    }
}

impl Caller {
    /// The key in use, where it is one.
    pub fn key(&self) -> Option<&KeyInfo> {
        match &self.who {
            Who::Key(key) | Who::Token(key, _) => Some(key),
            Who::Person(_) => None,
        }
    }

    /// The id of a key that is no person's. What asks for it is for keys alone, by the permissions that persons never
    /// have; were it asked for a person all the same, the database would refuse.
    pub fn key_id(&self) -> Option<&str> {
        match &self.who {
            Who::Key(key) => Some(&key.key_id),
            Who::Person(_) | Who::Token(..) => None,
        }
    }

    /// The person, where it is one.
    pub fn person(&self) -> Option<&Person> {
        match &self.who {
            Who::Key(_) => None,
            Who::Person(person) | Who::Token(_, person) => Some(person),
        }
    }

    /// What the caller may do.
    pub fn permissions(&self) -> &[Permission] {
        match &self.who {
            Who::Key(key) => &key.permissions,
            Who::Person(person) | Who::Token(_, person) => person.permissions(),
        }
    }

    /// Refuses a caller that lacks a permission.
    pub fn require(&self, permission: Permission) -> Result<(), ApiError> {
        if self.permissions().contains(&permission) {
            return Ok(());
        }
        let name = permission.wire_name();
        Err(self.lacks(&format!("the permission '{name}'")))
    }

    /// Refuses a caller that has none of some permissions; the last one is what it is told to lack.
    pub fn require_one_of(&self, permissions: &[Permission]) -> Result<(), ApiError> {
        let mut outcome = Ok(());
        for permission in permissions {
            outcome = self.require(*permission);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Refuses who may not ask for crawls: keys without `admin`, and people below contributors.
    pub fn require_to_run(&self) -> Result<(), ApiError> {
        match self.person() {
            None => self.require(Permission::Admin),
            Some(person) if person.role >= Some(Role::Contributor) => Ok(()),
            Some(_) => Err(self.lacks("the role 'contributor'")),
        }
    }

    /// Refuses people who lack a permission: what a key made is that key's to see, whatever it may else.
    pub fn require_of_people(&self, permission: Permission) -> Result<(), ApiError> {
        match self.person() {
            Some(_) => self.require(permission),
            None => Ok(()),
        }
    }

    fn lacks(&self, what: &str) -> ApiError {
        ApiError::Forbidden(match self.person().map(|person| person.role) {
            None => format!("the key lacks {what}"),
            Some(Some(role)) => format!("a {} lacks {what}", role.wire_name()),
            Some(None) => {
                "you are signed in, but without rights: no group of yours has a role here; ask an admin".into()
            }
        })
    }

    /// May the caller touch this system? Whether the system exists is another question.
    pub fn may_touch(&self, system_id: SystemId) -> bool {
        self.system_ids
            .as_ref()
            .is_none_or(|systems| systems.contains(&system_id))
    }

    /// The keys that the caller manages, where it may manage any.
    pub fn realm(&self) -> Realm<'_> {
        Realm {
            workspace_id: self.workspace_id,
            system_ids: self.system_ids.as_deref(),
        }
    }

    /// How the caller is named in the audit log.
    pub fn actor(&self) -> String {
        match &self.who {
            Who::Key(key) => format!("key:{} ({})", key.key_id, key.name),
            Who::Person(person) => person_named(person.account_id, &person.display_name),
            Who::Token(key, person) => {
                let name = person_named(person.account_id, &person.display_name);
                format!("{name} by token {}", key.key_id)
            }
        }
    }
}

/// How a person is named in the audit log.
pub fn person_named(account_id: Uuid, display_name: &str) -> String {
    format!("person:{account_id} ({display_name})")
}
