//! Questions to the register: a filter language, sorting, pages, counts, and the SQL that they become. Free of HTTP.
//!
//! What enters is text that a caller wrote (`filter`, `sort`, `fields`, a cursor) and a [`Source`], the thing with typed
//! columns that is asked: a table, the same table as of an instant, a view or a function. What leaves is rows, written as
//! JSON, CSV or Parquet. Between the two:
//!
//! - [`Filter`] is the parsed expression; it knows no column. [`Names`] knows the columns of a source and of promoted
//!   attributes, and is the only place where a name becomes SQL. Values are always bound parameters.
//! - Every condition is true or false, never unknown: a filter and its negation split the rows in two.
//! - [`Order`] is a total order of the rows: the sort keys, then the row's key, then its system. A page is the rows after
//!   or before a [`Cursor`] in that order, found by ranges that an index can serve, one per sort key.
//! - Every statement names the systems that the caller may see, and goes through one system at a time.

mod bind;
mod called;
mod columnar;
mod compile;
mod cursor;
mod filter;
mod lexer;
mod names;
mod order;
mod output;
mod page;
mod parse;
mod run;
mod source;
#[cfg(test)]
mod tests;
mod views;

pub use called::{Argument, Called};
pub use columnar::ParquetWriter;
pub use cursor::Cursor;
pub use filter::{Comparison, Filter, Literal, Name, Operand, Place, Test, Value};
pub use names::{Names, SORTED_CHARS, Selected, sorted, sorted_text};
pub use order::Order;
pub use output::{Format, Writer, write_cell, write_string};
pub use page::{Direction, Page, Scope};
pub use run::{
    Limits, PageRows, Places, RunError, TakesRows, count_exactly, estimate, read_only, read_page,
    read_page_within, read_rows,
};
pub use source::{Field, Kind, Past, Source};
pub use views::{functions, views};

/// Most characters of a filter.
pub const MAX_FILTER_CHARS: usize = 4_096;

/// What is wrong with a text of the caller, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {detail}")]
pub struct QueryError {
    /// Which character of the text, counted from 0; its length where something is missing at the end.
    pub position: usize,
    /// What is wrong there, and what was expected.
    pub detail: String,
}

impl QueryError {
    fn new(position: usize, detail: impl Into<String>) -> Self {
        Self {
            position,
            detail: detail.into(),
        }
    }
}
