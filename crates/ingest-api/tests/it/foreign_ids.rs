//! What belongs to another workspace is not there: every operation of the document that takes an id answers to another
//! workspace's as it does to one that nobody has.

use contract::Permission;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{TestApp, id, people},
    crawlers,
    openapi::operations,
    resuming::foreign_key,
};

/// What one workspace has, or what nobody has.
struct Ids {
    mapping: String,
    system: String,
    principal: String,
    session: String,
    run: String,
    held: String,
    key: String,
    crawler: String,
    job: String,
    schedule: String,
}

impl Ids {
    /// The id for a parameter; an operation with a new kind of id says here where one comes from.
    fn value(&self, path: &str, name: &str) -> String {
        let id = match name {
            "systemId" => &self.system,
            "syncId" => &self.session,
            "runId" => &self.run,
            "keyId" => &self.key,
            "crawlerId" => &self.crawler,
            "jobId" => &self.job,
            "scheduleId" => &self.schedule,
            "id" if path.starts_with("/api/ingest/held/") => &self.held,
            // Elsewhere `id` is that of a row of some entity: a principal and a package have this one.
            "principalId" | "resourceId" | "packageId" | "id" => &self.principal,
            "seq" => "0",
            "endpoint" => "users",
            "mappingId" => &self.mapping,
            _ => panic!("{path} takes {{{name}}}: say here what an id of it is in one workspace"),
        };
        id.to_owned()
    }

    fn all(&self) -> [&str; 9] {
        [
            &self.system,
            &self.principal,
            &self.session,
            &self.run,
            &self.held,
            &self.key,
            &self.crawler,
            &self.job,
            &self.schedule,
        ]
    }
}

fn nobodys() -> Ids {
    let uuid = || uuid::Uuid::new_v4().to_string();
    Ids {
        mapping: uuid(),
        system: "471147".into(),
        principal: uuid(),
        session: uuid(),
        run: uuid(),
        held: uuid(),
        key: "abcdefabcdef".into(),
        crawler: uuid(),
        job: uuid(),
        schedule: uuid(),
    }
}

/// One of everything in the first workspace.
async fn full_workspace(app: &TestApp) -> Ids {
    let mapping: uuid::Uuid = sqlx::query_scalar(
        "insert into role_mappings (workspace_id, system_id, resource_id, role, created_by) \
         values (1, $1, gen_random_uuid(), 'viewer', 'test') returning mapping_id",
    )
    .bind(app.system_id)
    .fetch_one(&app.pool)
    .await
    .expect("a mapping");
    let load = async |records| {
        app.ingest("principals", records, json!({"syncMode": "full"}))
            .await
            .expect(201)
    };
    load(people(0..60, "Ada")).await;
    let held = load(people(0..1, "Ada")).await["held"]["changeSetId"].clone();
    let run = uuid::Uuid::new_v4().to_string();
    app.post(
        &format!("/api/ingest/runs/{run}/claim"),
        &json!({"systemId": app.system_id}),
    )
    .await
    .expect(200);
    let open =
        json!({"systemId": app.system_id, "entity": "resources", "syncMode": "full", "runId": run});
    let session = app.post("/api/ingest/sessions", &open).await.expect(201);
    let package = json!([{"id": id(0), "displayName": "Package", "resourceType": "BusinessRole"}]);
    app.ingest("resources", package, json!({}))
        .await
        .expect(201);
    let crawler = crawlers::create(app, &crawlers::configuration("theirs", "s3cret")).await;
    let crawler = json!({"crawlerId": crawler, "cron": "@yearly"});
    let schedule = app.post("/api/schedules", &crawler).await.expect(201);
    let crawler = json!({"crawlerId": crawler["crawlerId"]});
    let job = app.post("/api/jobs", &crawler).await.expect(201);
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    Ids {
        mapping: mapping.to_string(),
        system: app.system_id.to_string(),
        principal: id(0).to_string(),
        session: text(&session["syncId"]),
        run,
        held: text(&held),
        crawler: text(&crawler["crawlerId"]),
        job: text(&job["jobId"]),
        schedule: text(&schedule["scheduleId"]),
        key: TestApp::id_of(&app.new_key(&[Permission::Read], None).await).to_owned(),
    }
}

struct Call {
    method: String,
    path: String,
    operation: &'static Value,
}

impl Call {
    /// The parameters of the query that name something of a workspace.
    fn query_ids(&self) -> Vec<&'static str> {
        let parameters = self.operation["parameters"]
            .as_array()
            .into_iter()
            .flatten();
        parameters
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str())
            .filter(|name| {
                [
                    "systemId",
                    "runId",
                    "syncId",
                    "crawlerId",
                    "scheduleId",
                    "principalId",
                    "resourceId",
                    "id",
                ]
                .contains(name)
            })
            .collect()
    }

    fn takes_ids(&self) -> bool {
        // Columns of attributes are everybody's.
        !self.path.starts_with("/api/attributes/promotions/")
            && (self.path.contains('{') || !self.query_ids().is_empty() || self.example().is_some())
    }

    /// The body of the documentation, where the path or the body itself names something of a workspace.
    fn example(&self) -> Option<&'static Value> {
        let content = self
            .operation
            .pointer("/requestBody/content/application~1json/example");
        let names = |example: &&Value| {
            ["systemId", "crawlerId"]
                .iter()
                .any(|id| example.get(id).is_some())
        };
        content.filter(|example| self.path.contains('{') || names(example))
    }

    /// Status and body, with every id written as `ID`.
    async fn answer(&self, app: &TestApp, key: &str, ids: &Ids) -> (u16, String) {
        let path = self.path.split('/').map(|part| {
            part.strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'))
                .map_or(part.to_owned(), |name| ids.value(&self.path, name))
        });
        let path = path.collect::<Vec<_>>().join("/");
        let query: Vec<(&str, String)> = self
            .query_ids()
            .into_iter()
            .map(|name| (name, ids.value(&self.path, name)))
            .collect();
        let mut body = self.example().cloned();
        let named = body.as_mut().and_then(Value::as_object_mut);
        for (name, value) in named.into_iter().flatten() {
            match name.as_str() {
                "systemId" => *value = ids.system.parse::<i32>().expect("a number").into(),
                "crawlerId" => *value = ids.crawler.as_str().into(),
                _ => {}
            }
        }
        let method = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let request = app
            .request_as(key, method, &path)
            .query(&query)
            .json(&body.unwrap_or_else(|| json!({})));
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = String::from_utf8_lossy(&response.bytes().await.expect("a body")).into_owned();
        let text = match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(mut problem)) => {
                problem.remove("requestId");
                Value::Object(problem).to_string()
            }
            _ => text,
        };
        // The longest first: a number may be part of another id.
        let mut known = ids.all();
        known.sort_by_key(|id| std::cmp::Reverse(id.len()));
        let text = known.iter().fold(text, |text, id| text.replace(id, "ID"));
        (status, text)
    }
}

/// All that the first workspace has, but for what calls of its own write.
async fn dump(app: &TestApp) -> Vec<Option<String>> {
    let mut dump = Vec::new();
    for sql in [
        "select md5(string_agg(t::text, ' ' order by t::text)) from role_mappings t where workspace_id = 1",
        "select md5(string_agg(t::text, ' ' order by t::text)) from systems t where workspace_id = 1",
        "select md5(string_agg(t::text, ' ' order by t::text)) from principals t",
        "select md5(string_agg(t::text, ' ' order by t::text)) from held_change_sets t",
        "select md5(string_agg(t::text, ' ' order by t::text)) from sync_sessions t where workspace_id = 1",
        "select md5(string_agg(t::text, ' ' order by t::text)) from runs_under_way t where workspace_id = 1",
        "select md5(string_agg(t::text, ' ' order by t::text)) from run_checkpoints t",
        "select md5(string_agg(concat(key_id, name, revoked_at, expires_at), ' ' order by key_id)) from api_keys \
         where workspace_id = 1",
        "select md5(string_agg(t::text, ' ' order by t::text)) from crawlers t where workspace_id = 1",
        "select md5(string_agg(t::text, ' ' order by t::text)) from crawler_versions t",
        "select md5(string_agg(t::text, ' ' order by t::text)) from secrets t where workspace_id = 1",
        "select md5(string_agg(t::text, ' ' order by t::text)) from jobs t where workspace_id = 1",
        "select md5(string_agg(t::text, ' ' order by t::text)) from job_log t",
        "select md5(string_agg(t::text, ' ' order by t::text)) from schedules t where workspace_id = 1",
    ] {
        dump.push(
            sqlx::query_scalar(sql)
                .fetch_one(&app.pool)
                .await
                .expect(sql),
        );
    }
    dump
}

#[tokio::test]
async fn a04_an_id_of_another_workspace_reads_like_one_that_nobody_has() {
    let app = TestApp::start().await;
    let (theirs, nobodys) = (full_workspace(&app).await, nobodys());
    let stranger = foreign_key(&app).await;
    let calls = operations()
        .into_iter()
        .map(|(method, path, operation)| Call {
            method,
            path,
            operation,
        })
        .filter(Call::takes_ids);
    let calls: Vec<Call> = calls.collect();
    let before = dump(&app).await;
    let mut hidden = 0;
    for call in &calls {
        let place = format!("{} {}", call.method, call.path);
        let foreign = call.answer(&app, &stranger, &theirs).await;
        let random = call.answer(&app, &stranger, &nobodys).await;
        assert_eq!(foreign, random, "{place}");
        hidden += usize::from(foreign.0 == 404 || foreign.0 == 403);
    }
    assert_eq!(dump(&app).await, before, "a stranger changed something");
    assert!(
        hidden > 40,
        "only {hidden} of {} tell that there is nothing",
        calls.len()
    );
    // The ids are real: their owner finds what they name.
    let mut found = 0;
    for call in calls.iter().filter(|call| call.method == "GET") {
        let (status, _) = call.answer(&app, &app.key, &theirs).await;
        found += u32::from(status == 200);
    }
    assert!(found > 15, "the owner finds only {found}");
}
