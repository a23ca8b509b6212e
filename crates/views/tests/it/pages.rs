use uuid::Uuid;
use views::Cursor;

use crate::register::{DEFAULT_WORKSPACE, Holder, Register, id};

/// 25 direct members, half of them also through a nested group.
async fn populated() -> Register {
    let register = Register::start().await;
    register
        .resource(register.system_id, id(101), "EntraGroup", "Everyone")
        .await;
    register
        .resource(register.system_id, id(102), "EntraGroup", "Team")
        .await;
    for user in 1..=25 {
        register
            .user(register.system_id, id(user), &format!("User {user}"))
            .await;
        register
            .hold(Holder::User(id(user)), "Direct", id(101))
            .await;
        if user % 2 == 0 {
            register
                .hold(Holder::User(id(user)), "Direct", id(102))
                .await;
        }
    }
    register
        .hold(Holder::Group(id(102)), "Direct", id(101))
        .await;
    register.load_and_refresh().await;
    register
}

async fn read_all(register: &Register, limit: u32) -> Vec<(Uuid, Option<Uuid>)> {
    let mut seen = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = views::resource_holders(
            &register.pool,
            DEFAULT_WORKSPACE,
            register.system_id,
            id(101),
            after.as_ref(),
            limit,
        )
        .await
        .expect("a page");
        assert!(page.items.len() <= limit as usize);
        assert!(!page.items.is_empty(), "a page was announced");
        seen.extend(
            page.items
                .iter()
                .map(|holder| (holder.principal_id, holder.access.via_id)),
        );
        match page.next {
            Some(next) => after = Some(next.to_string().parse().expect("a cursor")),
            None => return seen,
        }
    }
}

#[tokio::test]
async fn pages_of_holders_cover_each_way_once_whatever_their_size() {
    let register = populated().await;
    let expected: Vec<(Uuid, Option<Uuid>)> = (1..=25)
        .flat_map(|user| {
            let through_team = (user % 2 == 0).then_some((id(user), Some(id(102))));
            std::iter::once((id(user), None)).chain(through_team)
        })
        .collect();
    for limit in [1, 7, 37, 100] {
        assert_eq!(
            read_all(&register, limit).await,
            expected,
            "pages of {limit}"
        );
    }
}

#[tokio::test]
async fn a_holder_is_shown_with_name_and_way() {
    let register = populated().await;
    let page = views::resource_holders(
        &register.pool,
        DEFAULT_WORKSPACE,
        register.system_id,
        id(101),
        None,
        3,
    )
    .await
    .expect("a page");
    let json = serde_json::to_value(&page).expect("serialises");
    let through_team = &json["items"][2];
    assert_eq!(through_team["principalName"], "User 2");
    assert_eq!(through_team["viaName"], "Team");
    assert_eq!(through_team["isDirect"], false);
    assert_eq!(through_team["accessState"], "Active");
    assert!(json["next"].is_string());
}

#[tokio::test]
async fn holdings_list_what_a_principal_has_itself_and_through_groups() {
    let register = populated().await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = views::principal_holdings(
            &register.pool,
            DEFAULT_WORKSPACE,
            register.system_id,
            id(4),
            after.as_ref(),
            2,
        )
        .await
        .expect("a page");
        seen.extend(
            page.items
                .into_iter()
                .map(|h| (h.resource_name, h.access.is_direct)),
        );
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let name = |text: &str| Some(text.to_owned());
    assert_eq!(
        seen,
        [
            (name("Everyone"), true),
            (name("Everyone"), false),
            (name("Team"), true)
        ]
    );
}

#[tokio::test]
async fn finding_goes_by_id_then_exact_name_then_beginning_then_part() {
    let register = Register::start().await;
    let names = [
        (4, "The Admin"),
        (3, "Admin group"),
        (2, "ADMIN"),
        (1, "100% _odd_"),
    ];
    for (number, name) in names {
        register.user(register.system_id, id(number), name).await;
        register
            .resource(register.system_id, id(number), "EntraGroup", name)
            .await;
    }
    register.user(register.system_id, id(9), "Gone admin").await;
    register
        .run("update principals set deleted_at = now() where display_name = 'Gone admin'")
        .await;
    let by_id = id(3).to_string();
    for (text, expected) in [
        ("admin", vec![2, 3, 4]),
        (" The ", vec![4]),
        (by_id.as_str(), vec![3]),
        ("% _", vec![1]),
        ("_dmin", vec![]),
        ("  ", vec![]),
        ("a\0b", vec![]),
    ] {
        let expected: Vec<Uuid> = expected.into_iter().map(id).collect();
        let principals = views::find_principals(&register.pool, DEFAULT_WORKSPACE, text, None, 10)
            .await
            .expect("finds");
        let resources = views::find_resources(&register.pool, DEFAULT_WORKSPACE, text, None, 10)
            .await
            .expect("finds");
        assert_eq!(
            principals.iter().map(|p| p.id).collect::<Vec<_>>(),
            expected,
            "{text:?}"
        );
        assert_eq!(
            resources.iter().map(|r| r.id).collect::<Vec<_>>(),
            expected,
            "{text:?}"
        );
    }
    let by_sign_in_name = views::find_principals(
        &register.pool,
        DEFAULT_WORKSPACE,
        "the.admin@example.org",
        None,
        10,
    )
    .await
    .expect("finds");
    assert_eq!(by_sign_in_name.len(), 1);
    let limited = views::find_resources(&register.pool, DEFAULT_WORKSPACE, "admin", None, 2)
        .await
        .expect("finds");
    assert_eq!(limited.len(), 2);
}
