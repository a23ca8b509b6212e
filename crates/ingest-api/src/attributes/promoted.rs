//! Which columns can be read.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use contract::{Entity, ValueType};
use sqlx::PgPool;

/// How long an answer is used again. A column that was taken back stays as it is for longer than that (see `Settings`).
pub const CACHED: Duration = Duration::from_secs(2);

/// Databases and entities that are remembered; a process has one database, a test may have many.
const MOST_REMEMBERED: usize = 1_000;

/// An attribute that has a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promoted {
    /// Its name.
    pub attribute: String,
    /// The column of the entity's table: safe to stand in a statement, never from input.
    pub column: String,
    /// The column's type.
    pub value_type: ValueType,
}

type Remembered = HashMap<(String, Entity), (Instant, Vec<Promoted>)>;

fn remembered() -> MutexGuard<'static, Remembered> {
    static REMEMBERED: LazyLock<Mutex<Remembered>> = LazyLock::new(Mutex::default);
    // Entries are put in whole.
    REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The attributes of an entity that have columns which every row has filled and an index leads to, by name. Not older than
/// some seconds: ask again for every statement, a column may be given to another attribute a minute after it was taken back.
pub async fn promoted(pool: &PgPool, entity: Entity) -> Result<Vec<Promoted>, sqlx::Error> {
    let options = pool.connect_options();
    let database = format!(
        "{:?} {} {} {:?}",
        options.get_socket(),
        options.get_host(),
        options.get_port(),
        options.get_database()
    );
    let place = (database, entity);
    if let Some((asked_at, known)) = remembered().get(&place)
        && asked_at.elapsed() < CACHED
    {
        return Ok(known.clone());
    }
    let asked_at = Instant::now();
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "select attribute, column_name, value_type from promoted_attributes where entity = $1 and attribute is not null \
         and state = 'ready' order by attribute",
    )
    .bind(entity.wire_name())
    .fetch_all(pool)
    .await?;
    let found: Vec<Promoted> = rows
        .into_iter()
        .filter_map(|(attribute, column, kind)| {
            Some(Promoted {
                attribute,
                column,
                value_type: value_type(&kind)?,
            })
        })
        .collect();
    let mut remembered = remembered();
    if remembered.len() >= MOST_REMEMBERED {
        remembered.clear();
    }
    remembered.insert(place, (asked_at, found.clone()));
    Ok(found)
}

/// The type with this name.
pub fn value_type(name: &str) -> Option<ValueType> {
    ValueType::ALL
        .into_iter()
        .find(|kind| kind.wire_name() == name)
}
