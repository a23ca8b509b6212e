use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn references_by_external_id_meet_their_rows_in_both_ways_of_making_ids() {
    let app = TestApp::start().await;
    for (word, principals, assignments) in [
        (
            "deterministic",
            json!({"idGeneration": "deterministic", "idPrefix": "hr-principals"}),
            json!({"idGeneration": "deterministic", "idPrefix": "hr-assignments"}),
        ),
        ("native", json!({}), json!({})),
    ] {
        let mut resources = principals.clone();
        if word == "deterministic" {
            resources["idPrefix"] = json!("hr-resources");
        }
        let name = format!("{word}-1");
        app.ingest(
            "principals",
            json!([{"externalId": name, "displayName": name, "managerExternalId": name}]),
            principals,
        )
        .await
        .expect(201);
        app.ingest(
            "resources",
            json!([{"externalId": name, "displayName": name}]),
            resources,
        )
        .await
        .expect(201);
        let link = json!([{"principalExternalId": name, "resourceExternalId": name, "assignmentType": "Direct"}]);
        assert_eq!(
            app.ingest("resource-assignments", link, assignments)
                .await
                .expect(201)["inserted"],
            1
        );
    }
    assert_eq!(
        app.count("select count(*) from resource_assignments a join principals p on p.id = a.principal_id and p.manager_id = p.id \
                   join resources r on r.id = a.resource_id and r.external_id = p.external_id").await,
        2
    );
}

#[tokio::test]
async fn a_group_that_holds_something_is_found_by_its_external_id_as_a_resource() {
    let app = TestApp::start().await;
    let groups = json!([{"externalId": "G1", "displayName": "outer"}, {"externalId": "G2", "displayName": "inner"}]);
    app.ingest("resources", groups, json!({})).await.expect(201);
    let nested = json!([{"principalExternalId": "G2", "principalType": "Group", "resourceExternalId": "G1", "assignmentType": "Direct"}]);
    app.ingest("resource-assignments", nested, json!({}))
        .await
        .expect(201);
    assert_eq!(
        app.count("select count(*) from resource_assignments a join resources holder on holder.id = a.principal_id and holder.external_id = 'G2'").await,
        1
    );
}
