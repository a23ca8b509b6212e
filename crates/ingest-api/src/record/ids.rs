//! Ids for records whose source has no GUID.

use contract::SystemId;
use md5::{Digest, Md5};
use uuid::Uuid;

use crate::entity::IdSpace;

/// The namespace of all derived ids. Stored rows depend on it: it must never change.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b1d_7a0e_52c4_4f0f_9c1b_2f6a_cada_57e0);

/// How external ids become ids in one load.
#[derive(Debug, Clone)]
pub enum IdRule {
    /// UUIDv5 of (system, entity, external id).
    Native {
        /// The system of the load.
        system_id: SystemId,
    },
    /// MD5(`prefix:externalId`) laid out as a UUID, for crawlers written for Identity Atlas.
    Deterministic {
        /// The load's `idPrefix`, such as `hr-principals`.
        prefix: String,
    },
}

impl IdRule {
    /// The id of the record itself.
    pub fn own_id(&self, space: IdSpace, external_id: &str) -> Uuid {
        match self {
            Self::Native { .. } => self.reference(space, external_id),
            Self::Deterministic { prefix } => md5_uuid(prefix, external_id),
        }
    }

    /// The id of something that the record refers to.
    pub fn reference(&self, space: IdSpace, external_id: &str) -> Uuid {
        match self {
            Self::Native { system_id } => Uuid::new_v5(
                &NAMESPACE,
                format!("{system_id}:{}:{external_id}", space.name()).as_bytes(),
            ),
            Self::Deterministic { prefix } => {
                let first = prefix.split('-').next().unwrap_or(prefix);
                md5_uuid(&format!("{first}-{}", space.name()), external_id)
            }
        }
    }
}

fn md5_uuid(prefix: &str, external_id: &str) -> Uuid {
    let mut md5 = Md5::new();
    md5.update(prefix.as_bytes());
    md5.update(b":");
    md5.update(external_id.as_bytes());
    Uuid::from_bytes(md5.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deterministic_reference_meets_the_record_it_refers_to() {
        let principals = IdRule::Deterministic {
            prefix: "hr-principals".into(),
        };
        let assignments = IdRule::Deterministic {
            prefix: "hr-assignments".into(),
        };
        let own = principals.own_id(IdSpace::Principals, "E-1");
        assert_eq!(own, assignments.reference(IdSpace::Principals, "E-1"));
        // md5("hr-principals:E-1"), computed with md5sum.
        assert_eq!(own.simple().to_string(), "402f1a503f4930cc1879cbaadf17dd39");
    }

    #[test]
    fn a_native_id_depends_on_system_and_entity() {
        let one = IdRule::Native { system_id: 1 };
        let two = IdRule::Native { system_id: 2 };
        let id = one.own_id(IdSpace::Resources, "x");
        assert_eq!(id, one.reference(IdSpace::Resources, "x"));
        assert_ne!(id, two.own_id(IdSpace::Resources, "x"));
        assert_ne!(id, one.own_id(IdSpace::Principals, "x"));
    }
}
