use std::collections::BTreeSet;

use crate::{
    effective::{of_principals, of_resources, read, row},
    register::{Holder, Register, id},
};

#[tokio::test]
async fn a_closure_that_is_too_large_is_not_kept_and_every_answer_is_right_all_the_same() {
    let register = Register::start().await;
    register
        .run(
            "insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope,
                 principal_type, content_hash, first_seen_at, valid_from, sync_id)
             select 1, lpad(to_hex(100000 + n + 1), 32, '0')::uuid, lpad(to_hex(100000 + n), 32, '0')::uuid, 'Direct',
                    '/', 'Group', '\\x00', now(), now(), gen_random_uuid()
             from generate_series(1, 10000) n",
        )
        .await;
    let (ada, first, last, role) = (id(1), id(100_001), id(110_001), id(200_000));
    register.hold(Holder::User(ada), "Direct", first).await;
    register.hold(Holder::Group(last), "Direct", role).await;
    assert_eq!(register.load_and_refresh().await, 0);
    let is_kept: bool = sqlx::query_scalar("select is_kept from access_closure_systems")
        .fetch_one(&register.pool)
        .await
        .expect("a system");
    assert!(!is_kept);
    let expected = BTreeSet::from([row(role, ada, "Direct", "/", "Group", last)]);
    let by_view = read(
        &register,
        "select resource_id, principal_id, assignment_type, role_scope, via_kind, via_id
         from effective_access where system_id = $1 and resource_id = ($2::uuid[])[1]",
        register.system_id,
        &[role],
    )
    .await;
    assert_eq!(by_view, expected);
    assert_eq!(
        of_resources(&register, register.system_id, &[role]).await,
        expected
    );
    let mine = of_principals(&register, register.system_id, &[ada]).await;
    assert_eq!(mine.len(), 10_002);
    assert!(expected.is_subset(&mine));
}

#[tokio::test]
async fn a_clique_of_groups_is_resolved() {
    let register = Register::start().await;
    register
        .run(
            "insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope,
                 principal_type, content_hash, first_seen_at, valid_from, sync_id)
             select 1, lpad(to_hex(100000 + o), 32, '0')::uuid, lpad(to_hex(100000 + i), 32, '0')::uuid, 'Direct', '/',
                    'Group', '\\x00', now(), now(), gen_random_uuid()
             from generate_series(1, 500) o, generate_series(1, 500) i",
        )
        .await;
    let (ada, role) = (id(1), id(200_000));
    register
        .hold(Holder::User(ada), "Direct", id(100_001))
        .await;
    register
        .hold(Holder::Group(id(100_500)), "Direct", role)
        .await;
    assert_eq!(register.load_and_refresh().await, 500 * 500);
    let by_role = of_resources(&register, register.system_id, &[role]).await;
    let expected = BTreeSet::from([row(role, ada, "Direct", "/", "Group", id(100_500))]);
    assert_eq!(by_role, expected);
    let by_group = of_resources(&register, register.system_id, &[id(100_250)]).await;
    assert_eq!(by_group.len(), 500);
    let mine = of_principals(&register, register.system_id, &[ada]).await;
    assert_eq!(mine.len(), 1 + 500 * 500 + 1);
}
