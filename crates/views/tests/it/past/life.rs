//! A system whose past is known: random changes, written as the engine writes them, at known instants.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::run;
use crate::{
    model::{Assignment, Containment, Model},
    random::{self, Dice},
    register::{DEFAULT_WORKSPACE, Register},
};

const COMMITS: usize = 14;

/// An instant, and what was so then.
pub struct Then {
    pub at: DateTime<Utc>,
    pub model: Model,
}

/// A system whose past is known.
pub struct Past {
    pub system_id: i32,
    pub thens: Vec<Then>,
}

/// The version of each row that a condition finds ends, as the engine ends it: in the same statement it goes to the
/// history, and the row is removed or becomes another one.
fn ended(table: &str, condition: &str, is_removed: bool, becomes: &str) -> String {
    let columns = format!(
        "(select string_agg(quote_ident(name), ', ') from history_columns('{table}')) as columns"
    );
    let (operation, deleted_at) = if is_removed {
        ("delete", "clock_timestamp()")
    } else {
        ("update", "null")
    };
    format!(
        "do $$
         declare
             v_columns text := (select columns from (select {columns}) c);
             v_at timestamptz := clock_timestamp();
         begin
             execute format('insert into history_{table} (%1$s, valid_to, ended_by, operation)
                 select %1$s, %2$L, gen_random_uuid(), ''{operation}'' from {table} t
                 where deleted_at is null and {escaped}', v_columns, v_at);
             update {table} set deleted_at = {deleted_at}, valid_from = v_at{becomes}
             where deleted_at is null and {condition};
         end $$",
        escaped = condition.replace('\'', "''"),
    )
}

impl Past {
    /// Random changes, some of them in one transaction, with an instant after each transaction.
    pub async fn live(register: &Register, dice: &mut Dice, name: &str) -> Self {
        let system_id = register.add_system(DEFAULT_WORKSPACE, name).await;
        let mut past = Self {
            system_id,
            thens: Vec::new(),
        };
        let mut model = Model::default();
        for _ in 0..COMMITS {
            past.remember(register, &model).await;
            let mut transaction = register.pool.begin().await.expect("begins");
            for _ in 0..=dice.below(6) {
                past.change(&mut transaction, dice, &mut model).await;
            }
            sqlx::query("insert into changes (system_id, entity, sync_id) values ($1, 'resource-assignments', gen_random_uuid())")
                .bind(system_id)
                .execute(&mut *transaction)
                .await
                .expect("a change");
            transaction.commit().await.expect("commits");
        }
        past.remember(register, &model).await;
        past
    }

    async fn remember(&mut self, register: &Register, model: &Model) {
        let at = sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(&register.pool)
            .await
            .expect("an instant");
        self.thens.push(Then {
            at,
            model: model.clone(),
        });
    }

    async fn change(&self, conn: &mut PgConnection, dice: &mut Dice, model: &mut Model) {
        let place = |dice: &mut Dice, count: usize| dice.below(count as u64) as usize;
        match dice.below(10) {
            0..=3 => {
                let new = random::assignment(dice);
                if model.assignments.insert(new.clone()) {
                    self.assign(conn, &new).await;
                }
            }
            4..=5 => {
                let new = random::containment(dice);
                if model.containments.insert(new.clone()) {
                    self.relate(conn, &new).await;
                }
            }
            6..=7 if !model.assignments.is_empty() => {
                let place = place(dice, model.assignments.len());
                let old = model.assignments.iter().nth(place).expect("one").clone();
                model.assignments.remove(&old);
                self.unassign(conn, &old).await;
            }
            8 if !model.containments.is_empty() => {
                let place = place(dice, model.containments.len());
                let old = model.containments.iter().nth(place).expect("one").clone();
                model.containments.remove(&old);
                self.unrelate(conn, &old).await;
            }
            _ => {
                let things = random::things();
                let thing = things[place(dice, things.len())];
                let kind = if model.app_roles.remove(&thing) {
                    "Something"
                } else {
                    model.app_roles.insert(thing);
                    "EntraAppRole"
                };
                self.call(conn, thing, kind).await;
            }
        }
    }

    async fn assign(&self, conn: &mut PgConnection, a: &Assignment) {
        sqlx::query(
            "insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope,
                                               principal_type, content_hash, first_seen_at, valid_from, sync_id)
             values ($1, $2, $3, $4, $5, $6, '\\x00', clock_timestamp(), clock_timestamp(), gen_random_uuid())
             on conflict (system_id, resource_id, principal_id, assignment_type, role_scope)
                 do update set deleted_at = null, valid_from = clock_timestamp()",
        )
        .bind(self.system_id)
        .bind(a.resource)
        .bind(a.holder.id())
        .bind(a.kind)
        .bind(a.scope)
        .bind(a.holder.principal_type())
        .execute(conn)
        .await
        .expect("an assignment");
    }

    async fn relate(&self, conn: &mut PgConnection, c: &Containment) {
        sqlx::query(
            "insert into resource_relationships (system_id, parent_resource_id, child_resource_id, relationship_type,
                 role_name, content_hash, first_seen_at, valid_from, sync_id)
             values ($1, $2, $3, $4, $5, '\\x00', clock_timestamp(), clock_timestamp(), gen_random_uuid())
             on conflict (system_id, parent_resource_id, child_resource_id, relationship_type, role_name)
                 do update set deleted_at = null, valid_from = clock_timestamp()",
        )
        .bind(self.system_id)
        .bind(c.parent)
        .bind(c.child)
        .bind(c.kind)
        .bind(c.role)
        .execute(conn)
        .await
        .expect("a relationship");
    }

    async fn unassign(&self, conn: &mut PgConnection, a: &Assignment) {
        let condition = format!(
            "system_id = {} and resource_id = '{}' and principal_id = '{}' and assignment_type = '{}' and role_scope = '{}'",
            self.system_id,
            a.resource,
            a.holder.id(),
            a.kind,
            a.scope
        );
        run(conn, ended("resource_assignments", &condition, true, "")).await;
    }

    async fn unrelate(&self, conn: &mut PgConnection, c: &Containment) {
        let condition = format!(
            "system_id = {} and parent_resource_id = '{}' and child_resource_id = '{}' and relationship_type = '{}'
             and role_name = '{}'",
            self.system_id, c.parent, c.child, c.kind, c.role
        );
        run(conn, ended("resource_relationships", &condition, true, "")).await;
    }

    /// The resource is of a kind from now on; it is new, or was of another.
    async fn call(&self, conn: &mut PgConnection, resource: Uuid, kind: &str) {
        let condition = format!("system_id = {} and id = '{resource}'", self.system_id);
        let becomes = format!(", resource_type = '{kind}', display_name = '{kind}'");
        run(conn, ended("resources", &condition, false, &becomes)).await;
        sqlx::query(
            "insert into resources (system_id, id, resource_type, display_name, content_hash, first_seen_at, valid_from,
                                    sync_id)
             values ($1, $2, $3, $3, '\\x00', clock_timestamp(), clock_timestamp(), gen_random_uuid())
             on conflict do nothing",
        )
        .bind(self.system_id)
        .bind(resource)
        .bind(kind)
        .execute(conn)
        .await
        .expect("a resource");
    }
}
