//! What is written about the attributes that loads bring, and when nothing needs to be.
//!
//! Each process knows what is catalogued already and was seen today. A batch that brings nothing else costs some look-ups
//! in memory; anything new is written after the batch is committed, and can neither delay nor fail it for good: if the
//! catalogue cannot be written, the next batch tries again.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{NaiveDate, Utc};
use contract::{Entity, JsonType, SystemId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::seen::{JsonTypes, MAX_NAMES, Seen};

/// What is known of an entity of a system.
#[derive(Debug, Default)]
struct Known {
    day: NaiveDate,
    /// Types of the attributes that were seen today.
    today: HashMap<Box<str>, JsonTypes>,
    /// No more names are catalogued.
    is_full: bool,
    /// All names that are catalogued, once there is no room for more.
    catalogued: BTreeSet<Box<str>>,
    /// Reasons for gaps that were written today.
    left_out: BTreeSet<&'static str>,
}

/// The catalogue as one process writes it.
#[derive(Clone)]
pub struct Catalogue {
    pool: PgPool,
    known: Arc<Mutex<HashMap<(SystemId, Entity), Known>>>,
    changed: Arc<Mutex<BTreeSet<Entity>>>,
}

/// What a batch brings that is not known.
#[derive(Debug, Default)]
struct News {
    names: Vec<String>,
    types: Vec<JsonTypes>,
    left_out: Vec<(&'static str, String)>,
}

impl News {
    const fn is_empty(&self) -> bool {
        self.names.is_empty() && self.left_out.is_empty()
    }
}

/// What was found when news were written.
struct Written {
    catalogued: Option<BTreeSet<Box<str>>>,
    left_out: Vec<&'static str>,
}

impl Catalogue {
    /// Nothing known yet.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            known: Arc::default(),
            changed: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(SystemId, Entity), Known>> {
        // What is in there is whole whenever the lock is free.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what a committed batch brings for the first time today.
    pub async fn note(&self, system_id: SystemId, entity: Entity, sync_id: Uuid, seen: &Seen) {
        let news = self.news(system_id, entity, seen);
        if news.is_empty() {
            return;
        }
        match write(&self.pool, system_id, entity, sync_id, &news).await {
            Ok(written) => self.remember(system_id, entity, &news, written),
            Err(error) => {
                tracing::warn!(%entity, %error, "attributes could not be catalogued; the next batch tries again");
            }
        }
    }

    /// Rows of an entity changed: how many carry what is to be counted again.
    pub fn note_changed(&self, entity: Entity) {
        self.changed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(entity);
    }

    /// The entities whose rows changed since this was last asked.
    pub fn take_changed(&self) -> BTreeSet<Entity> {
        std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn news(&self, system_id: SystemId, entity: Entity, seen: &Seen) -> News {
        let today = Utc::now().date_naive();
        let mut all = self.lock();
        let known = all.entry((system_id, entity)).or_default();
        if known.day != today {
            *known = Known {
                day: today,
                ..Known::default()
            };
        }
        let mut news = News::default();
        for (name, types) in seen.iter() {
            if known.today.get(name).is_some_and(|seen| seen.holds(types)) {
                continue;
            }
            if known.is_full && !known.catalogued.contains(name) {
                news.left_out.push(("too_many", name.to_owned()));
                continue;
            }
            news.names.push(name.to_owned());
            news.types.push(types);
        }
        let told = [
            ("too_many", seen.too_many()),
            ("name_too_long", seen.too_long()),
        ];
        for (reason, name) in told {
            news.left_out
                .extend(name.map(|name| (reason, name.to_owned())));
        }
        news.left_out
            .retain(|(reason, _)| !known.left_out.contains(reason));
        news.left_out.dedup_by_key(|(reason, _)| *reason);
        news
    }

    fn remember(&self, system_id: SystemId, entity: Entity, news: &News, written: Written) {
        let mut all = self.lock();
        let known = all.entry((system_id, entity)).or_default();
        if let Some(catalogued) = written.catalogued {
            known.is_full = true;
            known.catalogued = catalogued;
        }
        for (name, types) in news.names.iter().zip(&news.types) {
            if !known.is_full || known.catalogued.contains(name.as_str()) {
                let seen = known.today.entry(name.as_str().into()).or_default();
                *seen = seen.and(*types);
            }
        }
        known.left_out.extend(written.left_out);
    }
}

async fn write(
    pool: &PgPool,
    system_id: SystemId,
    entity: Entity,
    sync_id: Uuid,
    news: &News,
) -> Result<Written, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // One after the other: then the number of names is kept, and a change of type is told once.
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1::text || '|' || $2, 6))")
        .bind(system_id)
        .bind(entity.wire_name())
        .execute(&mut *transaction)
        .await?;
    let known = known_types(&mut transaction, system_id, entity, &news.names).await?;
    let total: i64 =
        sqlx::query_scalar("select count(*) from attributes where system_id = $1 and entity = $2")
            .bind(system_id)
            .bind(entity.wire_name())
            .fetch_one(&mut *transaction)
            .await?;
    let mut room = MAX_NAMES.saturating_sub(total as usize);
    let mut left_out = news.left_out.clone();
    for (name, types) in news.names.iter().zip(&news.types) {
        let before = known.get(name).copied();
        if before.is_none() {
            if room == 0 {
                left_out.push(("too_many", name.clone()));
                continue;
            }
            room -= 1;
        }
        let before = before.unwrap_or_default();
        tell_drift(
            &mut transaction,
            (system_id, entity, sync_id),
            name,
            before,
            *types,
        )
        .await?;
        keep(
            &mut transaction,
            system_id,
            entity,
            name,
            before.and(*types),
        )
        .await?;
    }
    for (reason, example) in &left_out {
        tell_left_out(&mut transaction, system_id, entity, reason, example).await?;
    }
    let catalogued = if room == 0 {
        let names: Vec<String> = sqlx::query_scalar(
            "select attribute from attributes where system_id = $1 and entity = $2",
        )
        .bind(system_id)
        .bind(entity.wire_name())
        .fetch_all(&mut *transaction)
        .await?;
        Some(names.into_iter().map(String::into_boxed_str).collect())
    } else {
        None
    };
    transaction.commit().await?;
    Ok(Written {
        catalogued,
        left_out: left_out.into_iter().map(|(reason, _)| reason).collect(),
    })
}

async fn known_types(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
    names: &[String],
) -> Result<HashMap<String, JsonTypes>, sqlx::Error> {
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(
        "select attribute, json_types from attributes where system_id = $1 and entity = $2 and attribute = any ($3)",
    )
    .bind(system_id)
    .bind(entity.wire_name())
    .bind(names)
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(name, types)| (name, JsonTypes::from_names(&types)))
        .collect())
}

async fn keep(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
    name: &str,
    types: JsonTypes,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into attributes (system_id, entity, attribute, json_types) values ($1, $2, $3, $4) \
         on conflict (system_id, entity, attribute) do update set json_types = excluded.json_types, last_seen_at = now()",
    )
    .bind(system_id)
    .bind(entity.wire_name())
    .bind(name)
    .bind(types.names())
    .execute(connection)
    .await?;
    Ok(())
}

/// A name that comes for the first time has no type that it could differ from; its types tell of each other.
async fn tell_drift(
    connection: &mut PgConnection,
    (system_id, entity, sync_id): (SystemId, Entity, Uuid),
    name: &str,
    mut known: JsonTypes,
    types: JsonTypes,
) -> Result<(), sqlx::Error> {
    for kind in types.iter() {
        let kind_alone = JsonTypes::of(kind);
        if !known.holds(kind_alone) && known != JsonTypes::default() {
            sqlx::query(
                "insert into attribute_drifts (system_id, entity, attribute, known_types, new_type, sync_id) \
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(system_id)
            .bind(entity.wire_name())
            .bind(name)
            .bind(known.names())
            .bind(JsonType::wire_name(kind))
            .bind(sync_id)
            .execute(&mut *connection)
            .await?;
        }
        known = known.and(kind_alone);
    }
    Ok(())
}

async fn tell_left_out(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
    reason: &str,
    example: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into attributes_left_out (system_id, entity, reason, example) values ($1, $2, $3, $4) \
         on conflict (system_id, entity, reason) do update set last_seen_at = now()",
    )
    .bind(system_id)
    .bind(entity.wire_name())
    .bind(reason)
    .bind(example)
    .execute(connection)
    .await?;
    Ok(())
}
