//! The SQL views over the register: who has which access, in effect.
//!
//! The definitions are the files in `sql/`; what each means, in the field's words, is in `docs/views.md`.
//! [`install`] puts them into the database after the migrations, [`refresh`] brings the kept result
//! (`access_closure`, how groups and packages lead to each other) up to date, and the other functions ask the questions that the API and the tools answer.
//!
//! Invariants:
//! - a reader never waits for a refresh, and a refresh that finds nothing new writes nothing;
//! - a view is reported stale whenever something that it depends on may have changed since its refresh;
//! - what is asked about one principal, one resource or a page of either follows the live tables, before a refresh as
//!   well as after it, and ends whatever cycles the groups form;
//! - every question names its workspace and never sees a row of another one.
//!
//! ```no_run
//! # async fn example(pool: sqlx::PgPool) -> Result<(), views::ViewError> {
//! let mut connection = pool.acquire().await?;
//! views::install(&mut connection).await?;
//! views::refresh(&pool).await?;
//! for principal in views::privileged_principals(&pool, 1, 10).await? {
//!     println!("{} {:?}", principal.score, principal.principal_name);
//! }
//! # Ok(())
//! # }
//! ```

mod catalog;
mod closure;
mod error;
mod explain;
mod find;
mod install;
mod matrix;
mod page;
mod privileged;
mod refresh;
mod totals;

pub use error::ViewError;
pub use explain::{AccessPath, Explanation, Step, explain};
pub use find::{FoundPrincipal, FoundResource, find_principals, find_resources};
pub use install::install;
pub use matrix::{MatrixCell, MatrixWay, permission_matrix, permission_matrix_within};
pub use page::{
    Access, Cursor, Holder, Holding, MAX_PAGE, Page, principal_holdings, resource_holders,
};
pub use privileged::{HeldRole, PrivilegedPrincipal, privileged_principals};
pub use refresh::{RefreshOutcome, SkipReason, ViewRefresh, ViewStatus, refresh, refresh_status};
pub use totals::{Totals, totals};
