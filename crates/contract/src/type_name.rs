//! Names of open sets: principal types, assignment types, resource types.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A name from an open set, such as `ServicePrincipal` or a caller's own `SapRole`: a letter, then up to 49 letters,
/// digits or underscores. Sources invent new types, so unknown ones are kept, not refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct TypeName(
    #[schemars(regex(pattern = r"^[A-Za-z][A-Za-z0-9_]{0,49}$"))] Cow<'static, str>,
);

/// The text is no type name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a type name is a letter, then up to 49 letters, digits or underscores")]
pub struct InvalidTypeName;

impl TypeName {
    /// A name known when the program was built. The caller vouches for its form.
    pub const fn known(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TypeName {
    type Err = InvalidTypeName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = text.len() <= 50
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if well_formed {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(InvalidTypeName)
        }
    }
}

impl<'de> Deserialize<'de> for TypeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_name_starts_with_a_letter_and_holds_at_most_fifty_word_characters() {
        for good in ["User", "a", "Sap_Role2", &"x".repeat(50)] {
            assert!(good.parse::<TypeName>().is_ok(), "{good}");
        }
        for bad in ["", "1User", "_x", "User;", "Gé", &"x".repeat(51)] {
            assert_eq!(bad.parse::<TypeName>(), Err(InvalidTypeName), "{bad}");
        }
    }
}
