//! The matrix: all pages of both axes together are what the rows of effective access amount to.

use std::collections::{BTreeMap, BTreeSet};

use contract::Permission;
use serde_json::{Value, json};

use super::{access, ask, get, items};
use crate::app::{TestApp, id};

/// Flags and ways by resource and principal.
type Cells = BTreeMap<(String, String), ([bool; 5], BTreeSet<String>)>;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// What the rows of `resource-access` amount to, told from docs/views.md.
fn folded(rows: &[Value]) -> Cells {
    let mut cells = Cells::new();
    for row in rows {
        let key = (
            text(&row["resourceId"]).to_owned(),
            text(&row["principalId"]).to_owned(),
        );
        let (flags, ways) = cells.entry(key).or_default();
        let (kind, scope, via) = (
            text(&row["assignmentType"]),
            text(&row["roleScope"]),
            text(&row["viaKind"]),
        );
        let is_own = via == "Direct";
        let so = [
            is_own && (kind == "Direct" || kind == "OAuth2Grant"),
            !is_own && kind != "Owner" && kind != "Eligible" || kind == "Indirect",
            kind == "Owner" || scope == "/owner",
            kind == "Eligible",
            via == "Package" || kind == "Governed",
        ];
        flags.iter_mut().zip(so).for_each(|(flag, so)| *flag |= so);
        let way = json!([via, row["viaId"], row["viaName"], kind, scope]);
        assert!(ways.insert(way.to_string()), "{row} is there twice");
    }
    cells
}

fn read(cell: &Value) -> ([bool; 5], BTreeSet<String>) {
    let flags = [
        "isDirect",
        "isIndirect",
        "isOwner",
        "isEligible",
        "isGoverned",
    ];
    let ways = cell["via"].as_array().expect("ways").iter();
    (
        flags.map(|flag| cell[flag].as_bool().expect(flag)),
        ways.map(|way| {
            json!([
                way["kind"],
                way["id"],
                way["name"],
                way["assignmentType"],
                way["roleScope"]
            ])
            .to_string()
        })
        .collect(),
    )
}

fn ids(page: &Value, axis: &str) -> Vec<String> {
    let objects = page[axis].as_array().expect(axis).iter();
    objects
        .map(|object| text(&object["id"]).to_owned())
        .collect()
}

/// Goes through all pages of both axes. Answers the cells, and the ids of each axis in the order in which they came.
async fn all(
    app: &TestApp,
    path: &str,
    more: &[(&str, &str)],
) -> (Cells, Vec<String>, Vec<String>) {
    let mut cells = Cells::new();
    let (mut rows, mut columns) = (Vec::new(), Vec::new());
    let mut resources_after: Option<String> = None;
    loop {
        let mut principals_after: Option<String> = None;
        columns.clear();
        let next_resources = loop {
            let mut parameters = more.to_vec();
            let places = [
                ("resourcesAfter", &resources_after),
                ("principalsAfter", &principals_after),
            ];
            for (name, place) in places {
                parameters.extend(place.as_deref().map(|place| (name, place)));
            }
            let page = get(app, path, &parameters).await.expect(200);
            let (here, there) = (ids(&page, "resources"), ids(&page, "principals"));
            for cell in page["cells"].as_array().expect("cells") {
                let key = (
                    text(&cell["resourceId"]).to_owned(),
                    text(&cell["principalId"]).to_owned(),
                );
                assert!(here.contains(&key.0) && there.contains(&key.1), "{cell}");
                assert!(cells.insert(key, read(cell)).is_none(), "{cell} came twice");
            }
            if principals_after.is_none() {
                rows.extend(here);
            }
            columns.extend(there);
            principals_after = page["nextPrincipals"].as_str().map(str::to_owned);
            if principals_after.is_none() {
                break page["nextResources"].as_str().map(str::to_owned);
            }
        };
        resources_after = next_resources;
        if resources_after.is_none() {
            return (cells, rows, columns);
        }
    }
}

async fn listed(app: &TestApp, base: &str, more: &[(&str, &str)]) -> Vec<Value> {
    let parameters = [&[("limit", "1000")], more].concat();
    items(&get(app, base, &parameters).await.expect(200))
}

#[tokio::test]
async fn all_pages_of_both_axes_are_effective_access_each_cell_once() {
    let app = TestApp::start().await;
    for seed in 11..16 {
        let system_id = app.new_system(&format!("Seed {seed}")).await;
        access::fill(&app, system_id, seed).await;
        let mine = format!("systemId eq {system_id}");
        let access = listed(&app, "/api/register/resource-access", &[("filter", &mine)]).await;
        let path = format!("/api/systems/{system_id}/matrix");
        for (resources, principals, filters, order) in [
            ("1", "100", ["id exists", "id exists"], None),
            (
                "5",
                "3",
                ["resourceType ne 'EntraGroup'", "accountEnabled eq true"],
                None,
            ),
            (
                "4",
                "4",
                ["id exists", "not displayName eq 'Person 1'"],
                Some(("displayName", "-displayName")),
            ),
        ] {
            let mut more = vec![("resources", resources), ("principals", principals)];
            more.extend([
                ("resourceFilter", filters[0]),
                ("principalFilter", filters[1]),
            ]);
            let mut axes = Vec::new();
            for (entity, filter, sort) in [
                ("resources", filters[0], order.map(|(sort, _)| sort)),
                ("principals", filters[1], order.map(|(_, sort)| sort)),
            ] {
                let filter = format!("{mine} and ({filter})");
                let mut parameters = vec![("filter", filter.as_str()), ("fields", "id")];
                parameters.extend(sort.map(|sort| ("sort", sort)));
                let rows = listed(&app, &format!("/api/register/{entity}"), &parameters).await;
                axes.push(
                    rows.iter()
                        .map(|row| text(&row["id"]).to_owned())
                        .collect::<Vec<_>>(),
                );
            }
            if let Some((resources, principals)) = order {
                more.extend([("resourceSort", resources), ("principalSort", principals)]);
            }
            let (cells, rows, columns) = all(&app, &path, &more).await;
            assert_eq!([rows, columns], axes[..], "seed {seed}");
            let mut expected = folded(&access);
            expected.retain(|(resource, principal), _| {
                axes[0].contains(resource) && axes[1].contains(principal)
            });
            assert!(expected.len() > 3, "seed {seed} shows something");
            assert_eq!(cells, expected, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn the_matrix_is_of_the_callers_systems_only_and_names_what_is_wrong() {
    let app = TestApp::start().await;
    let other = app.new_system("Other").await;
    access::fill(&app, other, 21).await;
    let path = format!("/api/systems/{other}/matrix");
    let limited = app
        .new_key(&[Permission::Read], Some(vec![app.system_id]))
        .await;
    let blind = app.new_key(&[Permission::Ingest], None).await;
    for (key, expected) in [(&limited, 404), (&blind, 403), (&app.key, 200)] {
        let answer = ask(&app, key, &path, &[]).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), expected);
    }
    // The same ids in the caller's own system: nothing comes from the other.
    app.ingest(
        "principals",
        json!([{"id": id(1), "displayName": "Own"}]),
        json!({}),
    )
    .await
    .expect(201);
    let own = format!("/api/systems/{}/matrix", app.system_id);
    let page = get(&app, &own, &[]).await.expect(200);
    assert_eq!(
        page,
        json!({"resources": [], "cells": [],
        "principals": [{"id": id(1), "displayName": "Own", "principalType": "User"}]})
    );

    let place = get(&app, &path, &[("resources", "1")]).await.expect(200);
    let place = text(&place["nextResources"]).to_owned();
    for (parameter, value) in [
        ("resourceFilter", "nonsense"),
        ("principalFilter", "accountEnabled eq 'yes'"),
        ("resourceSort", "nothing"),
        ("principalSort", "extendedAttributes"),
        ("resources", "0"),
        ("principals", "101"),
        ("resourcesAfter", "AAAA"),
        // A place among the resources is none among the principals.
        ("principalsAfter", place.as_str()),
    ] {
        let body = get(&app, &path, &[(parameter, value)]).await.expect(400);
        assert_eq!(
            body["errors"][0]["pointer"],
            format!("/{parameter}"),
            "{body}"
        );
    }
    sqlx::query("with w as (insert into workspaces (name) values ('else') returning workspace_id) update systems set workspace_id = (select workspace_id from w) where system_id = $1")
        .bind(other)
        .execute(&app.pool)
        .await
        .expect("moves");
    app.get(&path).await.expect(404);
}
