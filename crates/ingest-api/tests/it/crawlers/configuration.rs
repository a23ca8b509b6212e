//! Configurations: checked field by field, versioned, never overwritten unseen.

use contract::Permission;
use ingest_api::secret::Keyring;
use reqwest::Method;
use serde_json::{Value, json};

use super::{CLIENT, configuration, create, lease, path, pointers};
use crate::{
    app::{TestApp, merge},
    resuming::foreign_key,
};

#[tokio::test]
async fn what_is_wrong_is_refused_by_the_name_of_its_field_and_not_repeated() {
    let app = TestApp::start().await;
    for (place, value) in [
        ("/settings/graph/tenantId", json!("CANARY tenant")),
        ("/settings/graph/clientId", json!("CANARY")),
        ("/settings/graph/baseUrl", json!("http://CANARY.example")),
        ("/settings/graph/baseUrl", json!("CANARY")),
        (
            "/settings/graph/loginBaseUrl",
            json!("https://u:CANARY@host.example"),
        ),
        (
            "/settings/graph/loginBaseUrl",
            json!("ftp://CANARY.example"),
        ),
        ("/settings/graph/cloud", json!("CANARY")),
        ("/settings/graph/signIn/method", json!("CANARY")),
        (
            "/settings/graph/signIn/certificateFile",
            json!("/a\u{0}CANARY"),
        ),
        ("/settings/mode", json!("CANARY")),
        ("/settings/fullReadEvery", json!("7 CANARY")),
        ("/settings/untoldReadEvery", json!("9999999999d")),
        ("/settings/requestWindowDays", json!(40_000)),
        ("/settings/customUserAttributes/1", json!("no property")),
        ("/settings/sync/pim", json!("CANARY")),
        ("/settings/identityFilter/and/0/operator", json!("CANARY")),
        ("/settings/workspaceId", json!(2)),
        ("/secrets/clientSecret", json!("****")),
        ("/secrets/clientSecret", json!(17)),
        ("/secrets/proxy", json!("CANARY")),
        ("/secrets/other", json!("CANARY")),
        ("/name", json!(" ")),
        ("/crawlerId", json!("CANARY")),
        ("/createdBy", json!("CANARY")),
        ("/systemId", json!(4_711)),
    ] {
        let mut body = configuration("Contoso", "a secret");
        body["settings"]["customUserAttributes"] = json!(["good", "better"]);
        body["settings"]["identityFilter"] =
            json!({"and": [{"property": "employeeId", "operator": "isNotNull"}]});
        let (parent, name) = place.rsplit_once('/').expect("a place");
        let mut target = &mut body;
        for part in parent.split('/').skip(1) {
            target = match part.parse::<usize>() {
                Ok(index) => &mut target[index],
                Err(_) => &mut target[part],
            };
        }
        match name.parse::<usize>() {
            Ok(index) => target[index] = value.clone(),
            Err(_) => target[name] = value.clone(),
        }
        let problem = app.post("/api/crawlers", &body).await.expect(400);
        assert_eq!(pointers(&problem), [place], "{value}: {problem}");
        assert!(!problem.to_string().contains("CANARY"), "{problem}");
    }
    // Everything at once, and nothing was kept.
    let body = json!({"name": "x", "settings": {"graph": {"baseUrl": "x"}, "fullReadEvery": "0000000000d",
        "untoldReadEvery": "9999999999m"}});
    let problem = app.post("/api/crawlers", &body).await.expect(400);
    assert_eq!(pointers(&problem).len(), 2, "{problem}");
    assert_eq!(app.count("select count(*) from crawlers").await, 0);
}

#[tokio::test]
async fn an_enabled_crawler_has_what_its_way_of_signing_in_needs() {
    let app = TestApp::start().await;
    let graph = json!({"tenantId": "contoso.example", "clientId": CLIENT});
    let with = |sign_in: Value, secrets: Value| {
        let mut graph = graph.clone();
        merge(&mut graph, json!({"signIn": sign_in}));
        json!({"name": "x", "settings": {"graph": graph}, "secrets": secrets})
    };
    for (body, place) in [
        (with(json!({}), json!({})), "/settings/graph/signIn/method"),
        (
            with(json!({"method": "secret"}), json!({})),
            "/secrets/clientSecret",
        ),
        (
            with(json!({"method": "certificate"}), json!({})),
            "/secrets/certificate",
        ),
        (
            with(
                json!({"certificateFile": "/c.pem"}),
                json!({"clientSecret": "x"}),
            ),
            "/settings/graph/signIn/method",
        ),
        (
            json!({"name": "x", "settings": {"graph": {"clientId": CLIENT}}, "secrets": {"clientSecret": "x"}}),
            "/settings/graph/tenantId",
        ),
        (
            json!({"name": "x", "settings": {"graph": {"tenantId": "t"}}, "secrets": {"clientSecret": "x"}}),
            "/settings/graph/clientId",
        ),
    ] {
        let problem = app.post("/api/crawlers", &body).await.expect(400);
        assert_eq!(pointers(&problem), [place], "{body}");
        let mut disabled = body.clone();
        disabled["enabled"] = json!(false);
        let made = app.post("/api/crawlers", &disabled).await.expect(201);
        assert_eq!(made["state"], "incomplete");
        assert!(
            made["stateReason"]
                .as_str()
                .expect("a reason")
                .contains(place)
        );
    }
    for body in [
        with(json!({"method": "managed-identity"}), json!({})),
        with(json!({"method": "github"}), json!({})),
        with(json!({"method": "federated"}), json!({})),
        with(json!({"certificateFile": "/c.pem"}), json!({})),
        with(json!({}), json!({"clientSecret": "env:CADASTRE_SECRET_X"})),
    ] {
        let made = app.post("/api/crawlers", &body).await.expect(201);
        assert_eq!(made["state"], "ready", "{body}");
    }
}

#[tokio::test]
async fn a_change_names_the_version_that_it_changes_and_of_many_at_once_one_lands() {
    let app = TestApp::start().await;
    let id = create(&app, &configuration("Contoso", "a secret")).await;
    let one = path(id);
    let change = |version: i32, days: u32| json!({"version": version, "settings": {"requestWindowDays": days}});
    let problem = app
        .patch(&one, &json!({"enabled": false}))
        .await
        .expect(400);
    assert_eq!(pointers(&problem), ["/version"]);
    let changed = app.patch(&one, &change(1, 10)).await.expect(200);
    assert_eq!(
        (
            &changed["version"],
            &changed["settings"]["requestWindowDays"]
        ),
        (&json!(2), &json!(10))
    );
    app.patch(&one, &change(1, 11)).await.expect(409);
    let with_tag = async |tag: &str, body: Value| {
        let request = app.request(Method::PATCH, &one).header("If-Match", tag);
        app.send(request.json(&body)).await
    };
    with_tag("\"1\"", json!({"name": "y"})).await.expect(412);
    for no_tag in ["2", "\"+2\"", "*"] {
        with_tag(no_tag, json!({"name": "y"})).await.expect(400);
    }
    app.patch(&one, &json!([2, "y"])).await.expect(400);
    with_tag("\"2\"", change(1, 12)).await.expect(400);
    with_tag("word", json!({"name": "y"})).await.expect(400);
    with_tag("\"2\"", json!({"name": "y"})).await.expect(200);
    // What changes nothing is no version.
    let same = app.patch(&one, &change(3, 10)).await.expect(200);
    assert_eq!(same["version"], 3);
    let race = (0..8).map(|days| {
        let (app, one) = (&app, &one);
        async move { app.patch(one, &change(3, 100 + days)).await.status.as_u16() }
    });
    let mut outcomes = futures_util::future::join_all(race).await;
    outcomes.sort_unstable();
    assert_eq!(outcomes, [200, 409, 409, 409, 409, 409, 409, 409]);
    let page = app
        .get(&format!("{one}/versions?limit=3"))
        .await
        .expect(200);
    let versions: Vec<&Value> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| &item["version"])
        .collect();
    assert_eq!(
        (versions, &page["next"]),
        (vec![&json!(4), &json!(3), &json!(2)], &json!(2))
    );
    let rest = app
        .get(&format!("{one}/versions?after=2"))
        .await
        .expect(200);
    assert_eq!(rest["items"][0]["secretsChanged"], json!(["clientSecret"]));
    assert_eq!(rest["items"][0]["settings"].get("requestWindowDays"), None);
    let request = app
        .request(Method::DELETE, &one)
        .header("If-Match", "\"3\"");
    app.send(request).await.expect(412);
    app.delete(&one).await.expect(204);
    app.delete(&one).await.expect(404);
    app.get(&one).await.expect(404);
    assert_eq!(app.count("select count(*) from secrets").await, 0);
    assert!(lease(&app, id).await.expect("no error").is_none());
}

#[tokio::test]
async fn a_patch_of_the_settings_takes_a_null_back_to_the_default_and_a_filter_whole() {
    let app = TestApp::start().await;
    let filter = json!({"property": "employeeId", "operator": "equals", "value": "1"});
    let mut body = configuration("Contoso", "a secret");
    merge(
        &mut body["settings"],
        json!({"mode": "full", "identityFilter": filter, "sync": {"pim": true, "contexts": false}}),
    );
    let one = path(create(&app, &body).await);
    let other = json!({"property": "mail", "operator": "isNotNull"});
    let patch = json!({"version": 1, "settings": {"mode": null, "sync": {"pim": null}, "identityFilter": other}});
    let changed = app.patch(&one, &patch).await.expect(200);
    assert_eq!(
        changed["settings"],
        json!({"graph": {"tenantId": "contoso.example", "clientId": CLIENT},
        "sync": {"contexts": false}, "identityFilter": other})
    );
    let bad = json!({"version": 2, "settings": {"sync": {"other": true}}});
    let problem = app.patch(&one, &bad).await.expect(400);
    assert_eq!(pointers(&problem), ["/settings/sync/other"]);
}

#[tokio::test]
async fn stored_secrets_do_not_follow_a_change_of_where_they_are_sent() {
    let app = TestApp::start().await;
    let one = path(create(&app, &configuration("Contoso", "a secret")).await);
    for settings in [
        json!({"graph": {"loginBaseUrl": "https://elsewhere.example"}}),
        json!({"graph": {"baseUrl": "https://elsewhere.example"}}),
        json!({"graph": {"cloud": "china"}}),
        json!({"graph": {"allowInsecureHttp": true}}),
        json!({"network": {"caFile": "/roots.pem"}}),
    ] {
        let mut patch = json!({"version": 1, "settings": settings});
        let problem = app.patch(&one, &patch).await.expect(400);
        assert_eq!(pointers(&problem), ["/secrets/clientSecret"], "{patch}");
        merge(
            &mut patch,
            json!({"enabled": false, "secrets": {"clientSecret": null}, "version": 1}),
        );
    }
    let patch = json!({"version": 1, "settings": {"graph": {"cloud": "china"}}, "secrets": {"clientSecret": "another"}});
    app.patch(&one, &patch).await.expect(200);
}

#[tokio::test]
async fn an_export_without_secrets_becomes_the_same_crawler_elsewhere() {
    let app = TestApp::start().await;
    let mut body = configuration("Contoso", "CANARY");
    merge(
        &mut body["secrets"],
        json!({"proxy": "env:CADASTRE_SECRET_PROXY"}),
    );
    merge(
        &mut body["settings"],
        json!({"mode": "delta", "customUserAttributes": ["badge"]}),
    );
    let made = app.post("/api/crawlers", &body).await.expect(201);
    let one = format!(
        "/api/crawlers/{}",
        made["crawlerId"].as_str().expect("an id")
    );
    let exported = app.get(&format!("{one}/export")).await.expect(200);
    assert_eq!(exported["storedSecrets"], json!(["clientSecret"]));
    assert!(!exported.to_string().contains("CANARY"));
    let import = "/api/crawlers/import";
    let bare = app
        .post(import, &json!({"crawler": exported}))
        .await
        .expect(201);
    assert_eq!(
        (&bare["enabled"], &bare["state"]),
        (&json!(false), &json!("incomplete"))
    );
    let secrets = json!({"clientSecret": "another"});
    let whole = json!({"crawler": exported, "name": "Second", "secrets": secrets});
    let whole = app.post(import, &whole).await.expect(201);
    assert_eq!(
        (&whole["enabled"], &whole["name"]),
        (&json!(true), &json!("Second"))
    );
    assert_eq!(whole["settings"], made["settings"]);
    assert_eq!(
        whole["secrets"]["proxy"]["reference"],
        "env:CADASTRE_SECRET_PROXY"
    );
    let mut wrong = exported.clone();
    wrong["references"]["clientSecret"] = json!("a secret in the file");
    let problem = app
        .post(import, &json!({"crawler": wrong}))
        .await
        .expect(400);
    assert_eq!(pointers(&problem), ["/crawler/references/clientSecret"]);
}

#[tokio::test]
async fn crawlers_are_for_admins_of_their_workspace_and_their_system() {
    let mut app = TestApp::start().await;
    let other_system = app.new_system("Other").await;
    let id = create(&app, &configuration("Contoso", "CANARY")).await;
    let mut body = configuration("Other", "CANARY");
    body["systemId"] = json!(other_system);
    let theirs = create(&app, &body).await;
    let everybody_but_admins: Vec<Permission> = Permission::ALL
        .into_iter()
        .filter(|one| *one != Permission::Admin)
        .collect();
    let outsider = app.new_key(&everybody_but_admins, None).await;
    let limited = app
        .new_key(&Permission::ALL, Some(vec![other_system]))
        .await;
    let foreign = foreign_key(&app).await;
    let ours = std::mem::replace(&mut app.key, outsider);
    let calls = [
        ("GET", ""),
        ("PUT", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/versions"),
        ("GET", "/export"),
    ];
    let ask = async |app: &TestApp, method: &str, tail: &str| {
        let request = app.request(
            method.parse().expect("a method"),
            &format!("{}{tail}", path(id)),
        );
        let request = match method {
            "PUT" => request.json(&json!({"version": 1, "name": "x", "enabled": false})),
            "PATCH" => request.json(&json!({"version": 1, "enabled": false})),
            _ => request,
        };
        app.send(request).await.status.as_u16()
    };
    for (method, tail) in calls {
        assert_eq!(ask(&app, method, tail).await, 403, "{method} {tail}");
    }
    app.get("/api/crawlers").await.expect(403);
    app.post("/api/crawlers", &configuration("x", "y"))
        .await
        .expect(403);
    for (key, seen) in [(foreign, vec![]), (limited, vec![json!(theirs)])] {
        app.key = key;
        for (method, tail) in calls {
            assert_eq!(ask(&app, method, tail).await, 404, "{method} {tail}");
        }
        let list = app.get("/api/crawlers").await.expect(200);
        let ids: Vec<Value> = list["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| item["crawlerId"].clone())
            .collect();
        assert_eq!(ids, seen);
    }
    // The limited key makes crawlers of its system only, and moves none elsewhere.
    let problem = app
        .post("/api/crawlers", &configuration("x", "y"))
        .await
        .expect(400);
    assert_eq!(pointers(&problem), ["/systemId"]);
    let mut body = configuration("x", "y");
    body["systemId"] = json!(app.system_id);
    app.post("/api/crawlers", &body).await.expect(400);
    app.patch(&path(theirs), &json!({"version": 1, "systemId": null}))
        .await
        .expect(400);
    app.key = ours;
    assert_eq!(app.get(&path(id)).await.expect(200)["version"], 1);
}

#[tokio::test]
async fn without_a_key_for_secrets_references_are_taken_and_secrets_refused_with_what_to_configure()
{
    let mut app = TestApp::start().await;
    let id = create(&app, &configuration("Contoso", "CANARY")).await;
    app.keyring = Keyring::none();
    app.restart().await;
    let problem = app
        .post("/api/crawlers", &configuration("x", "CANARY"))
        .await
        .expect(409);
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("CADASTRE_KEY_FILE") && detail.contains("clientSecret"),
        "{detail}"
    );
    app.post("/api/crawlers", &configuration("x", "file:/run/secrets/x"))
        .await
        .expect(201);
    app.patch(&path(id), &json!({"version": 1, "name": "renamed"}))
        .await
        .expect(200);
    assert!(lease(&app, id).await.is_err());
    assert_eq!(app.count("select count(*) from crawlers").await, 2);
}
