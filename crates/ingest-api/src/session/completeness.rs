//! What a commit may say about what was read to its end.

use contract::{Completeness, MAX_COMPLETE_PARENTS};

use super::Session;
use crate::error::ApiError;

/// Refuses words that contradict each other, or that mean nothing for the session's entity.
pub fn check(completeness: &Completeness, session: &Session) -> Result<(), ApiError> {
    let has_parents = session.spec()?.parent.is_some();
    if !completeness.incomplete_parents.is_empty() && !has_parents {
        return Err(ApiError::bad_field(
            "incompleteParents",
            format!(
                "{} have no parent; send complete: false instead",
                session.wanted.entity
            ),
        ));
    }
    let named = completeness.complete_parents.len();
    let fault = if named == 0 {
        return Ok(());
    } else if !has_parents {
        format!("{} have no parent", session.wanted.entity)
    } else if !completeness.complete {
        "only with complete: true; it says that these parents were read to their end".to_owned()
    } else if !completeness.incomplete_parents.is_empty() {
        "not together with incompleteParents: of the parents that were read, name those that were read to their end"
            .to_owned()
    } else if named > MAX_COMPLETE_PARENTS {
        format!("at most {MAX_COMPLETE_PARENTS} parents; {named} were named")
    } else {
        return Ok(());
    };
    Err(ApiError::bad_field("completeParents", fault))
}
