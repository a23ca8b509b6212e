//! Which entity a load is about.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An entity of the ingest API; its wire name is the last part of the endpoint's path.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Entity {
    /// Connected sources.
    #[serde(rename = "systems")]
    Systems,
    /// Users, guests, service principals, managed identities, agents.
    #[serde(rename = "principals")]
    Principals,
    /// Groups, roles, applications, access packages and custom types.
    #[serde(rename = "resources")]
    Resources,
    /// Who holds what.
    #[serde(rename = "resource-assignments")]
    ResourceAssignments,
    /// Which resource contains or grants which.
    #[serde(rename = "resource-relationships")]
    ResourceRelationships,
    /// The people behind principals.
    #[serde(rename = "identities")]
    Identities,
    /// Which principals belong to which person.
    #[serde(rename = "identity-members")]
    IdentityMembers,
    /// Departments, administrative units, manager trees.
    #[serde(rename = "contexts")]
    Contexts,
    /// Who is in which context.
    #[serde(rename = "context-members")]
    ContextMembers,
    /// Last sign-ins.
    #[serde(rename = "principal-activity")]
    PrincipalActivity,
    /// Entitlement-management catalogs.
    #[serde(rename = "governance/catalogs")]
    GovernanceCatalogs,
    /// Access-package assignment policies.
    #[serde(rename = "governance/policies")]
    AssignmentPolicies,
    /// Requests for access packages.
    #[serde(rename = "governance/requests")]
    AssignmentRequests,
    /// Decisions of access reviews.
    #[serde(rename = "governance/certifications")]
    CertificationDecisions,
}

/// The text names no entity of the ingest API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an entity of the ingest API")]
pub struct UnknownEntity(pub String);

impl Entity {
    /// Every entity, in the order in which a crawler would post them.
    pub const ALL: [Self; 14] = [
        Self::Systems,
        Self::Principals,
        Self::Resources,
        Self::ResourceAssignments,
        Self::ResourceRelationships,
        Self::Identities,
        Self::IdentityMembers,
        Self::Contexts,
        Self::ContextMembers,
        Self::PrincipalActivity,
        Self::GovernanceCatalogs,
        Self::AssignmentPolicies,
        Self::AssignmentRequests,
        Self::CertificationDecisions,
    ];

    /// The name in paths and envelopes, such as `resource-assignments` or `governance/catalogs`.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Systems => "systems",
            Self::Principals => "principals",
            Self::Resources => "resources",
            Self::ResourceAssignments => "resource-assignments",
            Self::ResourceRelationships => "resource-relationships",
            Self::Identities => "identities",
            Self::IdentityMembers => "identity-members",
            Self::Contexts => "contexts",
            Self::ContextMembers => "context-members",
            Self::PrincipalActivity => "principal-activity",
            Self::GovernanceCatalogs => "governance/catalogs",
            Self::AssignmentPolicies => "governance/policies",
            Self::AssignmentRequests => "governance/requests",
            Self::CertificationDecisions => "governance/certifications",
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wire_name())
    }
}

impl FromStr for Entity {
    type Err = UnknownEntity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|entity| entity.wire_name() == text)
            .ok_or_else(|| UnknownEntity(text.chars().take(60).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entity_reads_back_from_its_wire_name_and_serialises_to_it() {
        for entity in Entity::ALL {
            assert_eq!(entity.wire_name().parse(), Ok(entity));
            assert_eq!(
                serde_json::to_value(entity).expect("serialises"),
                entity.wire_name()
            );
        }
    }
}
