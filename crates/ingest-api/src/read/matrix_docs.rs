//! What the route of the matrix does.

use contract::{Permission, SystemId};

use super::matrix::{Matrix, MatrixQuery};
use crate::openapi::{Operation, Tag};

/// `GET /api/systems/{systemId}/matrix`.
pub fn matrix() -> Operation {
    Operation::new(
        Tag::Access,
        "getMatrix",
        "Who has which of some resources: a page of the matrix",
    )
    .says(
        "Each axis is filtered, ordered and paged on its own: go through all pages of both for the whole matrix. Axes \
         and cells of an answer are of one moment, from the live tables. Where more than 16 MiB of ways lead to the cells of a \
         page, it is refused: ask for a smaller one.",
    )
    .needs(&[Permission::Read])
    .path::<SystemId>("systemId", "The system.")
    .query::<MatrixQuery>()
    .answers::<Matrix>(200, "The page.")
}
