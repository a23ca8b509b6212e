//! The records of every entity.
//!
//! An id is the source's GUID. A record whose source has none sends `externalId` instead (and `…ExternalId` in
//! references); the server derives the id. Fields that are not named here become extended attributes.

mod activity;
mod assignment;
mod context;
mod governance;
mod identity;
mod principal;
mod resource;
mod system;

pub use activity::{PrincipalActivity, activity_type};
pub use assignment::{
    ResourceAssignment, ResourceRelationship, assignment_type, relationship_type,
};
pub use context::{Context, ContextMember, context_type};
pub use governance::{
    AssignmentPolicy, AssignmentRequest, CertificationDecision, GovernanceCatalog,
};
pub use identity::{Identity, IdentityMember};
pub use principal::{Principal, principal_type};
pub use resource::{Resource, resource_type};
pub use system::System;

/// Attributes without a column of their own: a JSON object up to 64 KiB and 16 levels deep.
pub type ExtendedAttributes = serde_json::Map<String, serde_json::Value>;
