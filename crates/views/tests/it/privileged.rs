use views::PrivilegedPrincipal;

use crate::register::{DEFAULT_WORKSPACE, Holder, Register, id};

const ROLES: [(u128, &str); 4] = [
    (
        0x62e9_0394_69f5_4237_9190_0121_7714_5e10,
        "Global Administrator",
    ),
    (
        0xfe93_0be7_5e62_47db_91af_98c3_a49a_38b1,
        "User Administrator",
    ),
    (301, "Custom reader"),
    (302, "Custom privileged"),
];

async fn with_roles() -> Register {
    let register = Register::start().await;
    for (role, name) in ROLES {
        register
            .resource(register.system_id, id(role), "EntraDirectoryRole", name)
            .await;
    }
    register
        .run(
            "update resources set extended_attributes = '{\"isPrivileged\": true}'
             where display_name = 'Custom privileged'",
        )
        .await;
    register
}

async fn ranking(register: &Register) -> Vec<PrivilegedPrincipal> {
    views::privileged_principals(&register.pool, DEFAULT_WORKSPACE, 20)
        .await
        .expect("a ranking")
}

#[tokio::test]
async fn principals_are_ranked_by_tier_state_and_scope() {
    let register = with_roles().await;
    let [global, user_admin, reader, custom] = ROLES.map(|(role, _)| id(role));
    let unit = "/administrativeUnits/1";
    for (user, kind, scope, role) in [
        (1, "Direct", "/", reader),
        (2, "Direct", unit, user_admin),
        (3, "Eligible", "/", custom),
        (4, "Direct", "/", user_admin),
        (5, "Eligible", "/", global),
        (6, "Direct", "/", global),
        (7, "Eligible", unit, reader),
        (8, "Owner", "/", global),
    ] {
        register
            .user(register.system_id, id(user), &format!("User {user}"))
            .await;
        register
            .hold_at(
                register.system_id,
                Holder::User(id(user)),
                kind,
                scope,
                role,
            )
            .await;
    }
    register.load_and_refresh().await;
    let ranked: Vec<(String, i64, i32)> = ranking(&register)
        .await
        .into_iter()
        .map(|p| (p.principal_name.expect("a name"), p.score, p.highest_tier))
        .collect();
    let expected = [
        ("User 6", 4000, 0),
        ("User 5", 2000, 0),
        ("User 4", 40, 1),
        // As many points: the name decides.
        ("User 2", 20, 1),
        ("User 3", 20, 1),
        ("User 1", 4, 2),
        ("User 7", 1, 2),
    ]
    .map(|(name, score, tier)| (name.to_owned(), score, tier));
    assert_eq!(ranked, expected);
}

#[tokio::test]
async fn a_role_counts_once_by_its_weightiest_way_and_says_which() {
    let register = with_roles().await;
    let [global, user_admin, ..] = ROLES.map(|(role, _)| id(role));
    let (ada, admins) = (id(1), id(101));
    register.user(register.system_id, ada, "Ada").await;
    register
        .resource(register.system_id, admins, "EntraGroup", "Admins")
        .await;
    register.hold(Holder::User(ada), "Direct", admins).await;
    register.hold(Holder::Group(admins), "Direct", global).await;
    register.hold(Holder::User(ada), "Eligible", global).await;
    register
        .hold(Holder::User(ada), "Eligible", user_admin)
        .await;
    register.load_and_refresh().await;
    let ranked = ranking(&register).await;
    assert_eq!(ranked.len(), 1);
    let ada = &ranked[0];
    assert_eq!(
        (ada.score, ada.active_roles, ada.eligible_roles),
        (4020, 1, 1)
    );
    assert_eq!(ada.roles[0].name.as_deref(), Some("Global Administrator"));
    assert_eq!(ada.roles[0].via.as_deref(), Some("Admins"));
    assert_eq!(ada.roles[0].access_state, "Active");
    assert_eq!(ada.roles[1].access_state, "Eligible");
    assert_eq!(ada.roles[1].via, None);
}

#[tokio::test]
async fn a_role_is_recognised_by_its_template_where_its_own_id_differs() {
    let register = with_roles().await;
    register
        .resource(register.system_id, id(401), "EntraDirectoryRole", "Renamed")
        .await;
    register
        .run(
            "update resources set template_id = '62e90394-69f5-4237-9190-012177145e10'
             where display_name = 'Renamed'",
        )
        .await;
    register.hold(Holder::User(id(1)), "Direct", id(401)).await;
    register.load_and_refresh().await;
    assert_eq!(ranking(&register).await[0].highest_tier, 0);
}
