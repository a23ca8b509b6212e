//! Pages by name and by promoted attributes are read from an index, in both directions, whatever page it is.

use std::time::Duration;

use contract::Entity;
use ingest_api::{
    attributes::promoted,
    entity,
    query::{
        Cursor, Direction, Filter, Format, Limits, Names, Order, Page, Scope, Source, Writer,
        read_page,
    },
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _, types::Json};

use crate::{
    app::{TestApp, id},
    attributes::{at_once, promoted_now, server},
};

const LIMITS: Limits = Limits {
    max_bytes: 1024 * 1024,
    patience: Duration::from_secs(60),
};

/// A question, as far as it does not say which page.
pub struct Question {
    names: Names,
    pub scope: Scope,
    order: Order,
    filter: Option<Filter>,
}

impl Question {
    pub async fn new(app: &TestApp, entity: Entity, sort: &str, filter: Option<&str>) -> Self {
        let source = Source::of(entity::spec(entity).expect("a specification"));
        let names = Names::new(source, promoted(&app.pool, entity).await.expect("columns"));
        Self {
            order: Order::parse(Some(sort), &names).expect("an order"),
            filter: filter.map(|filter| filter.parse().expect("a filter")),
            names,
            scope: Scope {
                systems: vec![app.system_id],
                includes_removed: false,
                as_of: None,
            },
        }
    }

    fn page(&self, direction: Direction) -> Page<'_> {
        Page {
            names: &self.names,
            scope: &self.scope,
            filter: self.filter.as_ref(),
            order: &self.order,
            selected: &[],
            format: Format::Json,
            direction,
            limit: 20,
        }
    }

    /// Before and behind everything, and at the end of each of the first pages.
    pub async fn directions(&self, app: &TestApp, most_pages: usize) -> Vec<Direction> {
        let writer = Writer::new(&self.names, &[], Format::Json);
        let mut directions = vec![Direction::After(None), Direction::Before(None)];
        let mut place = None;
        for _ in 0..most_pages {
            let page = self.page(Direction::After(place));
            let rows = read_page(&app.pool, page, &writer, b"", LIMITS).await;
            let rows = rows.expect("rows");
            if let Some(last) = rows.last.clone() {
                directions.push(Direction::After(Some(last.clone())));
                directions.push(Direction::Before(Some(last)));
            }
            place = rows.last.filter(|_| rows.has_more);
            if place.is_none() {
                break;
            }
        }
        directions
    }

    /// The places of the first and the last row of a page.
    pub async fn ends(&self, app: &TestApp, direction: Direction) -> (Cursor, Cursor) {
        let writer = Writer::new(&self.names, &[], Format::Json);
        let rows = read_page(&app.pool, self.page(direction), &writer, b"", LIMITS).await;
        let rows = rows.expect("rows");
        (rows.first.expect("a row"), rows.last.expect("a row"))
    }

    /// The plan where there are few rows: PostgreSQL would not take the trouble.
    pub async fn plan(&self, app: &TestApp, direction: Direction) -> Value {
        let settings = "set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_sort = off";
        self.explained(app, direction, settings, "costs off").await
    }

    /// What is done for a page.
    pub async fn work(&self, app: &TestApp, direction: Direction) -> Value {
        self.explained(app, direction, "", "analyze, timing off")
            .await
    }

    async fn explained(
        &self,
        app: &TestApp,
        direction: Direction,
        settings: &'static str,
        how: &str,
    ) -> Value {
        let (sql, binds) = self.page(direction).sql().expect("SQL");
        let mut transaction = app.pool.begin().await.expect("a transaction");
        sqlx::raw_sql(settings)
            .execute(&mut *transaction)
            .await
            .expect("settings");
        let explain = format!("explain (format json, {how}) {sql}");
        let query = sqlx::query(AssertSqlSafe(explain)).persistent(false);
        let row = binds.give(query).fetch_one(&mut *transaction).await;
        let Json(plan): Json<Value> = row.expect("a plan").get(0);
        plan[0]["Plan"].clone()
    }
}

/// The nodes of a plan.
pub fn nodes(plan: &Value) -> Vec<&Value> {
    let inner = plan["Plans"].as_array().into_iter().flatten();
    std::iter::once(plan).chain(inner.flat_map(nodes)).collect()
}

#[tokio::test]
async fn whatever_page_is_asked_for_an_index_leads_to_it_and_nothing_is_sorted_but_the_page() {
    let app = server(at_once()).await;
    let people: Vec<Value> = (0..120)
        .map(|n| {
            let mut person = json!({"id": id(n), "displayName": format!("Person {}", n % 7)});
            // Half of them have none.
            if n % 2 == 0 {
                person["word"] = json!(format!("Word {}", n % 5));
                person["size"] = json!(n % 3);
            }
            person
        })
        .collect();
    let groups: Vec<Value> = (0..50)
        .map(|n| json!({"id": id(n), "displayName": format!("Group {}", n % 3)}))
        .collect();
    for (entity, records) in [("principals", people), ("resources", groups)] {
        app.ingest(entity, records.into(), json!({}))
            .await
            .expect(201);
    }
    let word = promoted_now(&app, "word", "text").await;
    let size = promoted_now(&app, "size", "number").await;
    // What is promoted is remembered for a moment.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let of_column = |promotion: &Value| {
        format!(
            "principals_{}",
            promotion["column"].as_str().expect("a name")
        )
    };
    let begins = "lower(displayName) startsWith 'person'";
    for (entity, sort, filter, index) in [
        (
            Entity::Principals,
            "displayName",
            None,
            "principals_by_name".to_owned(),
        ),
        (
            Entity::Principals,
            "-displayName",
            None,
            "principals_by_name".to_owned(),
        ),
        (
            Entity::Principals,
            "displayName",
            Some(begins),
            "principals_by_name".to_owned(),
        ),
        (
            Entity::Principals,
            "-displayName",
            Some(begins),
            "principals_by_name".to_owned(),
        ),
        (
            Entity::Resources,
            "displayName",
            None,
            "resources_by_name".to_owned(),
        ),
        (Entity::Principals, "ext.word", None, of_column(&word)),
        (Entity::Principals, "-ext.word", None, of_column(&word)),
        (Entity::Principals, "ext.size", None, of_column(&size)),
        (Entity::Principals, "-ext.size", None, of_column(&size)),
        (
            Entity::Principals,
            "ext.word",
            Some("ext.word eq 'Word 2'"),
            of_column(&word),
        ),
        (
            Entity::Principals,
            "ext.word",
            Some("ext.word in ('Word 2')"),
            of_column(&word),
        ),
        (
            Entity::Principals,
            "displayName",
            Some("displayName eq 'Person 2'"),
            "principals_by_name".to_owned(),
        ),
    ] {
        let question = Question::new(&app, entity, sort, filter).await;
        let directions = question.directions(&app, usize::MAX).await;
        assert!(directions.len() > 2, "{sort}");
        for direction in directions {
            let plan = question.plan(&app, direction.clone()).await;
            let nodes = nodes(&plan);
            let scans: Vec<&&Value> = nodes
                .iter()
                .filter(|node| node["Relation Name"].is_string())
                .collect();
            assert!(!scans.is_empty());
            for scan in scans {
                assert_eq!(
                    scan["Index Name"],
                    index.as_str(),
                    "{sort} {filter:?} {direction:?}: {plan:#}"
                );
            }
            let is_sorted = |node: &&&Value| {
                node["Node Type"]
                    .as_str()
                    .is_some_and(|kind| kind.contains("Sort"))
            };
            assert!(
                nodes.iter().filter(is_sorted).count() <= 1,
                "{sort} {filter:?} {direction:?}: {plan:#}"
            );
        }
    }
}
