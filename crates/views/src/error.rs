//! What can go wrong.

/// Why a view could not be installed, refreshed or read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The database refused or could not be reached. Try again; the register is unchanged.
    #[error("the database could not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// Long-running readers kept the views locked. Nothing was changed; start again when they are done.
    #[error("the views are in use; they could not be replaced in {attempts} attempts")]
    Locked {
        /// How often it was tried.
        attempts: u32,
    },
    /// Somebody built a view of their own on one of ours, and it stands in the way of an upgrade.
    #[error("{name} cannot be replaced: something outside Cadastre is built on it ({detail})")]
    DependedUpon {
        /// The view or function.
        name: String,
        /// What PostgreSQL says about it.
        detail: String,
    },
    /// A page's cursor is not one that an earlier page gave.
    #[error("this cursor was not made by an earlier page")]
    InvalidCursor,
}

impl ViewError {
    /// The error without the database's own words, which may quote data: fit to be shown.
    pub fn summary(&self) -> String {
        match self {
            Self::Database(error) => match sql_state(error) {
                Some(state) => format!("the database refused (SQLSTATE {state})"),
                None => "the database could not be reached".to_owned(),
            },
            Self::DependedUpon { name, .. } => {
                format!("{name} cannot be replaced: something outside Cadastre is built on it")
            }
            Self::Locked { .. } | Self::InvalidCursor => self.to_string(),
        }
    }
}

/// The SQLSTATE of a database error.
pub(crate) fn sql_state(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .map(std::borrow::Cow::into_owned)
}
