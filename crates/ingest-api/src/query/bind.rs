//! Bound parameters.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, postgres::PgArguments, query::Query};
use uuid::Uuid;

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Bind {
    /// `text`
    Text(String),
    /// `text[]`
    Texts(Vec<String>),
    /// `uuid`
    Uuid(Uuid),
    /// `uuid[]`
    Uuids(Vec<Uuid>),
    /// `boolean`
    Bool(bool),
    /// `boolean[]`
    Bools(Vec<bool>),
    /// `timestamptz`
    Time(DateTime<Utc>),
    /// `timestamptz[]`
    Times(Vec<DateTime<Utc>>),
    /// `bigint`
    Int(i64),
    /// `integer[]`
    Systems(Vec<i32>),
}

/// The parameters of a statement, in their order.
#[derive(Debug, Default, Clone)]
pub struct Binds(Vec<Bind>);

impl Binds {
    /// Adds a parameter; answers how the statement names it.
    pub fn push(&mut self, bind: Bind) -> String {
        self.0.push(bind);
        format!("${}", self.0.len())
    }

    /// Gives them to a statement.
    pub fn give(self, query: Query<'_, Postgres, PgArguments>) -> Query<'_, Postgres, PgArguments> {
        self.0.into_iter().fold(query, |query, bind| match bind {
            Bind::Text(value) => query.bind(value),
            Bind::Texts(value) => query.bind(value),
            Bind::Uuid(value) => query.bind(value),
            Bind::Uuids(value) => query.bind(value),
            Bind::Bool(value) => query.bind(value),
            Bind::Bools(value) => query.bind(value),
            Bind::Time(value) => query.bind(value),
            Bind::Times(value) => query.bind(value),
            Bind::Int(value) => query.bind(value),
            Bind::Systems(value) => query.bind(value),
        })
    }
}
