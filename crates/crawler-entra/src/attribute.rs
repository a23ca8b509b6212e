//! Attributes of users that a tenant adds to Graph's own.

use serde::Serialize;

/// Where an attribute comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AttributeKind {
    /// One of the fifteen that come from Active Directory.
    OnPremisesExtension,
    /// A directory extension that an application registered.
    DirectoryExtension,
    /// A schema extension.
    SchemaExtension,
    /// A custom security attribute.
    Security,
    /// A property that needs a permission of its own.
    Guarded,
}

/// An attribute and what is known of its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttributeFound {
    /// Its name among the extended attributes.
    pub name: String,
    /// Where it comes from.
    pub kind: AttributeKind,
    /// The type that its definition names, or its values have.
    pub value_type: String,
    /// What to name in `--custom-user-attributes` to read it; absent when it is read in any case.
    pub select: Option<String>,
    /// Users of the sample that have a value.
    pub filled: u64,
    /// Up to three values, shortened.
    pub samples: Vec<String>,
    /// Why its values could not be looked at.
    pub unreadable: Option<String>,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttributesFound {
    /// Users that were looked at.
    pub sampled: u64,
    /// The attributes, by kind and name.
    pub attributes: Vec<AttributeFound>,
    /// What could not be found out, with the permission to grant.
    pub gaps: Vec<String>,
}
