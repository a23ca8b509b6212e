//! Where a secret belongs. It opens nowhere else.

use uuid::Uuid;

/// The place of a secret: what both of its encryptions are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretPlace<'a> {
    /// The workspace.
    pub workspace_id: i32,
    /// The crawler.
    pub crawler_id: Uuid,
    /// The field of its configuration.
    pub field: &'a str,
    /// The version of the crawler that set the secret.
    pub version: i32,
}

impl SecretPlace<'_> {
    /// The place as bytes, for one of the two encryptions. Each part has its length before it, so that no two places share
    /// their bytes.
    pub(super) fn bytes(&self, purpose: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [
            b"cadastre secret 1".as_slice(),
            purpose.as_bytes(),
            &self.workspace_id.to_be_bytes(),
            self.crawler_id.as_bytes(),
            self.field.as_bytes(),
            &self.version.to_be_bytes(),
        ] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }
}
