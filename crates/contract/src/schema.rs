//! JSON Schemas of the records.

use schemars::{Schema, SchemaGenerator};

use crate::{Entity, records};

/// Calls a generic method of a schema generator with the type of an entity's record.
macro_rules! for_record {
    ($entity:expr, $generator:ident.$method:ident) => {
        match $entity {
            Entity::Systems => $generator.$method::<records::System>(),
            Entity::Principals => $generator.$method::<records::Principal>(),
            Entity::Resources => $generator.$method::<records::Resource>(),
            Entity::ResourceAssignments => $generator.$method::<records::ResourceAssignment>(),
            Entity::ResourceRelationships => $generator.$method::<records::ResourceRelationship>(),
            Entity::Identities => $generator.$method::<records::Identity>(),
            Entity::IdentityMembers => $generator.$method::<records::IdentityMember>(),
            Entity::Contexts => $generator.$method::<records::Context>(),
            Entity::ContextMembers => $generator.$method::<records::ContextMember>(),
            Entity::PrincipalActivity => $generator.$method::<records::PrincipalActivity>(),
            Entity::GovernanceCatalogs => $generator.$method::<records::GovernanceCatalog>(),
            Entity::AssignmentPolicies => $generator.$method::<records::AssignmentPolicy>(),
            Entity::AssignmentRequests => $generator.$method::<records::AssignmentRequest>(),
            Entity::CertificationDecisions => {
                $generator.$method::<records::CertificationDecision>()
            }
        }
    };
}

/// The JSON Schema (2020-12) of an entity's record, generated from its type.
pub fn record_schema(entity: Entity) -> Schema {
    let generator = SchemaGenerator::default();
    for_record!(entity, generator.into_root_schema_for)
}

/// The same schema as a part of a larger document: a reference to it, which the generator defines.
pub fn record_subschema(entity: Entity, generator: &mut SchemaGenerator) -> Schema {
    for_record!(entity, generator.subschema_for)
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
