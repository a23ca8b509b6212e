//! JSON Schemas of the records.

use schemars::{Schema, schema_for};

use crate::{Entity, records};

/// The JSON Schema (2020-12) of an entity's record, generated from its type.
pub fn record_schema(entity: Entity) -> Schema {
    match entity {
        Entity::Systems => schema_for!(records::System),
        Entity::Principals => schema_for!(records::Principal),
        Entity::Resources => schema_for!(records::Resource),
        Entity::ResourceAssignments => schema_for!(records::ResourceAssignment),
        Entity::ResourceRelationships => schema_for!(records::ResourceRelationship),
        Entity::Identities => schema_for!(records::Identity),
        Entity::IdentityMembers => schema_for!(records::IdentityMember),
        Entity::Contexts => schema_for!(records::Context),
        Entity::ContextMembers => schema_for!(records::ContextMember),
        Entity::PrincipalActivity => schema_for!(records::PrincipalActivity),
        Entity::GovernanceCatalogs => schema_for!(records::GovernanceCatalog),
        Entity::AssignmentPolicies => schema_for!(records::AssignmentPolicy),
        Entity::AssignmentRequests => schema_for!(records::AssignmentRequest),
        Entity::CertificationDecisions => schema_for!(records::CertificationDecision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_schema_is_an_object_that_allows_further_fields() {
        for entity in Entity::ALL {
            let schema = record_schema(entity).to_value();
            assert_eq!(schema["type"], "object", "{entity}");
            assert!(schema["properties"].is_object(), "{entity}");
            assert!(
                schema.get("additionalProperties").is_none(),
                "{entity}: unknown fields become extended attributes"
            );
        }
    }
}
