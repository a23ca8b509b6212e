//! Reading only what changed leads to the same register as reading everything, whatever Graph's delta functions repeat,
//! shuffle, split, forget or refuse.

use std::{future::Future, time::Duration};

use contract::{CollectionReport, CollectionStatus, RunOutcome, RunReport, SyncMode};
use crawler_entra::{CrawlConfig, Mode, Selection, UNTOLD_READ_EVERY};
use graph_sim::{
    DeltaExpiry, DeltaOptions, Fault, Removal, RoutePattern, SimOptions, TenantSpec, UserType,
    permissions,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

use crate::register::{Register, line, seed};

/// The collections that are read by what changed.
const FOLLOWED: [&str; 5] = ["users", "guests", "groups", "group members", "group owners"];

/// Every liberty that a delta function may take.
fn hostile(seed: u64) -> DeltaOptions {
    DeltaOptions {
        page_size: 7,
        links_per_fragment: 3,
        links_per_page: 5,
        replay_share: 0.2,
        shuffled: true,
        empty_pages: 3,
        unknown_removals: 2,
        removal: Removal::Mixed,
        seed,
        ..DeltaOptions::default()
    }
}

/// Reads what changed, of everything, and in full what Graph does not tell the changes of.
fn auto_with_people(register: &Register) -> CrawlConfig {
    let mut config = register.config();
    config.mode = Mode::Auto;
    config.untold_read_every = Duration::ZERO;
    config.refresh_views = false;
    config
}

/// The same where nothing is made of users: they are followed one by one, then.
fn auto(register: &Register) -> CrawlConfig {
    let mut config = auto_with_people(register);
    config.selection.contexts = false;
    config.identity_filter = None;
    config
}

/// What is made of users, and the context of units.
const OF_PEOPLE: [&str; 4] = [
    "contexts",
    "context_members",
    "identities",
    "identity_members",
];

/// The register holds what the tenant has, as far as [`auto`] reads it.
#[track_caller]
fn assert_truth(register: &Register) -> impl Future<Output = ()> {
    register.assert_equals_truth_but_for(&OF_PEOPLE)
}

/// A crawl that reads what changed, where that is known.
async fn follow(register: &Register) -> RunReport {
    register.crawl_with(auto(register)).await
}

/// A register that holds a tenant and knows where its changes begin.
async fn begun(seed: u64, delta: DeltaOptions) -> Register {
    begun_as(seed, delta, auto).await
}

async fn begun_as(
    seed: u64,
    delta: DeltaOptions,
    config: fn(&Register) -> CrawlConfig,
) -> Register {
    let spec = TenantSpec::new(seed, 500, 300, 40);
    let options = SimOptions {
        delta,
        ..SimOptions::default()
    };
    let register = Register::start(&spec, options).await;
    let report = register.crawl_with(config(&register)).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_eq!(report.mode, SyncMode::Full);
    let told = line(&report, "users").message.as_deref();
    assert!(
        told.is_some_and(|told| told.contains("no earlier reading")),
        "{told:?}"
    );
    assert_truth(&register).await;
    register
}

/// Every followed collection was read by what changed.
#[track_caller]
fn assert_followed(report: &RunReport) {
    assert_eq!(report.mode, SyncMode::Delta, "{report:#?}");
    for name in FOLLOWED {
        let told = line(report, name).message.as_deref().unwrap_or_default();
        let is_followed = told.contains("only what changed") || told.contains("nothing changed");
        assert!(is_followed, "{name}: {told}");
    }
}

/// The run followed the changes, and the register is what the tenant is.
async fn assert_caught_up(register: &Register, report: &RunReport) {
    assert_followed(report);
    register.approve_all().await;
    register.assert_no_false_removal().await;
    assert_truth(register).await;
}

async fn tokens(register: &Register) -> Vec<(String, String, bool)> {
    sqlx::query_as(
        "select endpoint, token, full_read_at = saved_at from delta_tokens order by endpoint",
    )
    .fetch_all(&register.pool)
    .await
    .expect("tokens")
}

async fn token_of(register: &Register, endpoint: &str) -> String {
    let all = tokens(register).await.into_iter();
    let mut of = all.filter(|(name, ..)| name == endpoint);
    of.next().expect("a token").1
}

#[tokio::test(flavor = "multi_thread")]
async fn day_after_day_the_changes_lead_to_the_truth() {
    let seed = seed();
    for tenant in 0..2 {
        let seed = seed + tenant;
        let mut random = StdRng::seed_from_u64(seed);
        let register = begun_as(seed, hostile(seed), auto_with_people).await;
        let mut followed = 0;
        for day in 0..10 {
            // A change of memberships touches many groups; on busy days there are too many to follow.
            let most = if day % 3 == 2 { 0.03 } else { 0.0015 };
            let fraction = random.random_range(0.0002..most);
            println!("tenant {tenant}, day {day}: {fraction}");
            register.simulator.change(seed * 100 + day, fraction);
            let report = register.crawl_with(auto_with_people(&register)).await;
            let told = line(&report, "group members").message.as_deref();
            followed += u32::from(told.is_some_and(|told| told.contains("only what changed")));
            register.approve_all().await;
            register.assert_no_false_removal().await;
            register.assert_equals_truth().await;
        }
        assert!(followed > 2, "groups were followed on {followed} days only");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn service_principals_are_followed_where_nothing_hangs_on_them() {
    let register = begun(70, hostile(70)).await;
    let mut config = auto(&register);
    config.selection = Selection {
        principals: false,
        resources: false,
        assignments: false,
        pim: false,
        ..config.selection
    };
    let names = ["service principals", "managed identities", "agents"];
    register.crawl_with(config.clone()).await;
    for round in 0..5 {
        register.simulator.change(round, 0.03);
        let report = register.crawl_with(config.clone()).await;
        assert_eq!(report.mode, SyncMode::Delta, "{report:#?}");
        let brought = |line: &CollectionReport| line.updated + line.inserted + line.deleted;
        let followed: u64 = names.map(|name| brought(line(&report, name))).iter().sum();
        assert!(followed > 0, "{report:#?}");
        register.approve_all().await;
        // Reading everything finds nothing that the changes did not bring.
        let mut full = config.clone();
        full.mode = Mode::Full;
        let report = register.crawl_with(full).await;
        for name in names {
            assert_eq!(brought(line(&report, name)), 0, "{report:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_tenant_costs_a_request_for_each_chain_and_changes_nothing() {
    let register = begun(61, DeltaOptions::default()).await;
    let versions = register.row_versions().await;
    register.simulator.reset_stats();
    let mut config = auto(&register);
    config.untold_read_every = UNTOLD_READ_EVERY;
    let report = register.crawl_with(config).await;
    assert_followed(&report);
    let asked = register.simulator.requests();
    let endpoints = [
        "users",
        "groups",
        "servicePrincipals",
        "applications",
        "oauth2PermissionGrants",
        "directory/administrativeUnits",
    ];
    for endpoint in endpoints {
        let of = |path: &str| asked.iter().filter(|call| call.path == path).count();
        assert_eq!(of(&format!("/{endpoint}/delta")), 1, "{endpoint}");
    }
    for path in [
        "/users",
        "/members",
        "/servicePrincipals",
        "/applications",
        "/appRoleAssignedTo",
    ] {
        assert!(
            asked.iter().all(|call| !call.path.ends_with(path)),
            "{path}"
        );
    }
    for name in FOLLOWED {
        assert_eq!(line(&report, name).read, 0, "{name}");
    }
    assert!(versions == register.row_versions().await);
    assert_truth(&register).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_graph_refuses_leads_to_a_full_read_and_a_new_one() {
    for expiry in [DeltaExpiry::Gone, DeltaExpiry::SyncStateNotFound] {
        let options = DeltaOptions {
            expiry,
            ..hostile(62)
        };
        let register = begun(62, options).await;
        register.simulator.change(1, 0.002);
        register.simulator.expire_delta_tokens();
        let report = follow(&register).await;
        assert_eq!(report.mode, SyncMode::Full, "{report:#?}");
        for name in FOLLOWED {
            let told = line(&report, name).message.as_deref().unwrap_or_default();
            assert!(told.contains("are not to be had"), "{name}: {told}");
        }
        register.approve_all().await;
        assert_truth(&register).await;
        register.simulator.change(2, 0.002);
        let report = follow(&register).await;
        assert_caught_up(&register, &report).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_the_crawler_reads_is_told_by_the_next_round() {
    let seed = seed();
    let spec = TenantSpec::new(seed, 150, 400, 40);
    let options = SimOptions {
        latency: Duration::from_millis(5),
        ..SimOptions::default()
    };
    let register = Register::start(&spec, options).await;
    for round in 0..6 {
        let crawl = follow(&register);
        let disturb = async {
            for part in 0..3 {
                tokio::time::sleep(Duration::from_millis(60)).await;
                register.simulator.change(seed + round * 10 + part, 0.0005);
            }
        };
        tokio::join!(crawl, disturb);
    }
    // Of the groups so many may have changed that all are read.
    let report = follow(&register).await;
    assert_eq!(report.mode, SyncMode::Delta, "{report:#?}");
    register.approve_all().await;
    register.assert_no_false_removal().await;
    assert_truth(&register).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_go_and_change_their_names_take_their_members_along() {
    let register = begun(63, hostile(63)).await;
    let gone = register.simulator.with_tenant(|tenant| {
        let has_members = |id: &Uuid| tenant.members.of(*id).len() > 1;
        let mut groups = tenant.groups.keys().copied().filter(has_members);
        let (gone, renamed, emptied) = (
            groups.next().expect("a group"),
            groups.next().expect("a group"),
            groups.next().expect("a group"),
        );
        tenant.remove_objects([gone]);
        let group = tenant.groups.get_mut(&renamed).expect("a group");
        group.display_name = "Another name".to_owned();
        tenant.members.set(emptied, Vec::new());
        gone
    });
    let report = follow(&register).await;
    assert_caught_up(&register, &report).await;
    let removed = register.removed().await;
    assert!(removed.contains(&("resources", gone.to_string())));
    assert!(line(&report, "group members").deleted > 0, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_came_and_went_between_two_runs_was_never_there() {
    let register = begun(64, hostile(64)).await;
    let versions = register.row_versions().await;
    let (group, user) = register.simulator.with_tenant(|tenant| {
        let group = *tenant.groups.keys().next().expect("a group");
        let mut users = tenant.users.keys().copied();
        let user = users.find(|user| !tenant.members.contains(group, *user));
        let user = user.expect("no member");
        assert!(tenant.add_member(group, user));
        (group, user)
    });
    register.simulator.with_tenant(|tenant| {
        assert!(tenant.remove_member(group, user));
    });
    let report = follow(&register).await;
    assert_caught_up(&register, &report).await;
    assert!(versions == register.row_versions().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_become_guests_go_and_come_back_as_the_same_rows() {
    let register = begun(65, hostile(65)).await;
    let whole = register.simulator.with_tenant(|tenant| tenant.clone());
    let (of_members, of_guests) = register.simulator.with_tenant(|tenant| {
        let of_type = |wanted: UserType| {
            let users = tenant.users.values();
            let fitting = users.filter(|user| user.user_type == wanted);
            fitting.map(|user| user.id).take(2).collect::<Vec<_>>()
        };
        let (members, guests) = (of_type(UserType::Member), of_type(UserType::Guest));
        let turned = tenant.users.get_mut(&members[0]).expect("a user");
        turned.user_type = UserType::Guest;
        tenant.remove_objects([members[1], guests[0]]);
        (members, guests)
    });
    let report = follow(&register).await;
    assert_caught_up(&register, &report).await;
    let removed = register.removed().await;
    for gone in [of_members[1], of_guests[0]] {
        assert!(removed.contains(&("principals", gone.to_string())));
    }
    assert!(!removed.contains(&("principals", of_members[0].to_string())));
    register.simulator.with_tenant(|tenant| *tenant = whole);
    let report = follow(&register).await;
    assert_caught_up(&register, &report).await;
    assert_eq!(register.removed().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_again_keeps_the_old_beginning_of_its_endpoint() {
    let register = begun(66, DeltaOptions::default()).await;
    let before = token_of(&register, "users").await;
    let groups_before = token_of(&register, "groups").await;
    let user = register.simulator.with_tenant(|tenant| {
        let user = tenant.users.values_mut().next().expect("a user");
        user.job_title = Some("Something new".to_owned());
        user.id
    });
    let path = RoutePattern::Exact(format!("/users/{user}"));
    let faults = register.simulator.faults();
    faults.add(Fault::status(path, 500, "InternalServerError"));
    let report = follow(&register).await;
    assert_followed(&report);
    let users = line(&report, "users");
    assert_eq!(users.status, CollectionStatus::Partial, "{users:#?}");
    assert_eq!(users.failures[0].id, Some(user));
    assert_eq!(token_of(&register, "users").await, before);
    assert_ne!(token_of(&register, "groups").await, groups_before);
    register.assert_no_false_removal().await;
    faults.clear();
    let report = follow(&register).await;
    assert_eq!(line(&report, "users").updated, 1, "{report:#?}");
    assert_caught_up(&register, &report).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_cannot_be_read_again_stay_and_are_read_by_the_next_run() {
    let register = begun(67, DeltaOptions::default()).await;
    let before = token_of(&register, "groups").await;
    let group = register.simulator.with_tenant(|tenant| {
        let has_members = |id: &Uuid| tenant.members.of(*id).len() > 2;
        let group = tenant.groups.keys().copied().find(has_members);
        let group = group.expect("a group with members");
        let gone = tenant.members.of(group)[0].id;
        assert!(tenant.remove_member(group, gone));
        group
    });
    let path = RoutePattern::Exact(format!("/groups/{group}/members"));
    let faults = register.simulator.faults();
    faults.add(Fault::status(path, 500, "InternalServerError"));
    let report = follow(&register).await;
    let members = line(&report, "group members");
    assert_eq!(members.status, CollectionStatus::Partial, "{members:#?}");
    assert_eq!(members.deleted, 0);
    assert_eq!(token_of(&register, "groups").await, before);
    faults.clear();
    let report = follow(&register).await;
    assert_eq!(line(&report, "group members").deleted, 1, "{report:#?}");
    assert_caught_up(&register, &report).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_changes_may_not_be_followed_everything_is_read_and_it_is_said() {
    let register = begun(68, DeltaOptions::default()).await;
    for round in 0..2 {
        register.simulator.change(round, 0.002);
        let path = RoutePattern::Exact("/users/delta".to_owned());
        let faults = register.simulator.faults();
        faults.add(Fault::status(path, 403, "Authorization_RequestDenied"));
        let report = follow(&register).await;
        let users = line(&report, "users");
        assert_eq!(users.status, CollectionStatus::Complete, "{users:#?}");
        let told = users.message.as_deref().unwrap_or_default();
        assert!(told.contains("changes cannot be followed"), "{told}");
        let groups = line(&report, "groups").message.as_deref();
        assert!(groups.is_some_and(|told| told.contains("only what changed")));
        register.approve_all().await;
        assert_truth(&register).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_tokens_other_questions_and_many_changes_lead_to_full_reads() {
    let register = begun(69, DeltaOptions::default()).await;
    let told = |report: &RunReport| line(report, "users").message.clone().unwrap_or_default();
    let age = async |column: &str, days: i32| {
        let sql = match column {
            "saved_at" => "update delta_tokens set saved_at = now() - make_interval(days => $1)",
            _ => "update delta_tokens set full_read_at = now() - make_interval(days => $1)",
        };
        let aged = sqlx::query(sql).bind(days).execute(&register.pool).await;
        assert!(aged.expect("ages").rows_affected() > 0);
    };
    age("full_read_at", 8).await;
    let mut as_delta = auto(&register);
    as_delta.mode = Mode::Delta;
    let report = register.crawl_with(as_delta).await;
    assert_followed(&report);
    let report = follow(&register).await;
    assert!(
        told(&report).contains("full reading was 8 days ago"),
        "{}",
        told(&report)
    );
    assert!(tokens(&register).await.iter().all(|(.., is_full)| *is_full));
    age("saved_at", 7).await;
    let report = follow(&register).await;
    assert!(
        told(&report).contains("last run was 7 days ago"),
        "{}",
        told(&report)
    );
    register.simulator.with_tenant(|tenant| {
        for user in tenant.users.values_mut().take(150) {
            user.job_title = Some("Reorganised".to_owned());
        }
    });
    let report = follow(&register).await;
    assert!(
        told(&report).contains("objects changed"),
        "{}",
        told(&report)
    );
    assert_truth(&register).await;
    // What the round told last is where the next one begins.
    register.simulator.change(5, 0.0005);
    let report = follow(&register).await;
    assert_caught_up(&register, &report).await;
    let mut other = auto(&register);
    other.custom_user_attributes = vec!["mailNickname".to_owned()];
    let report = register.crawl_with(other).await;
    assert!(
        told(&report).contains("something else is read"),
        "{}",
        told(&report)
    );
    assert!(
        line(&report, "groups")
            .message
            .as_deref()
            .is_some_and(|told| told.contains("nothing changed")),
        "{report:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_while_it_follows_changes_loses_none_of_them() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let register = begun_as(seed, hostile(seed), auto_with_people).await;
    for round in 0..5 {
        register.simulator.change(seed + round, 0.003);
        let run_id = Uuid::new_v4().to_string();
        let mut arguments = vec!["--progress", "json", "--mode", "auto", "--run-id", &run_id];
        arguments.extend(["--untold-read-every", "0m"]);
        let calls = register.simulator.stats().http_calls + random.random_range(3..40);
        {
            let crawler = register.crawler(&arguments);
            let enough = async {
                while register.simulator.stats().http_calls < calls {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            // Dropping the command kills it.
            tokio::select! {
                () = enough => {}
                _ = crawler => println!("round {round}: it had ended"),
            }
        }
        // More changes: a run that goes on must keep the beginnings that it took first.
        register.simulator.change(seed + 100 + round, 0.001);
        let output = register.crawler(&arguments).await;
        println!("{}", String::from_utf8_lossy(&output.stdout));
        let report = register.crawl_with(auto_with_people(&register)).await;
        let is_whole = [RunOutcome::Complete, RunOutcome::Held].contains(&report.outcome);
        assert!(is_whole, "{report:#?}");
        register.approve_all().await;
        register.assert_no_false_removal().await;
        register.assert_equals_truth().await;
        let open = "select count(*) from sync_sessions where state = 'open'";
        assert_eq!(register.count(open).await, 0, "loads were left open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_graph_does_not_tell_of_is_read_once_in_a_while_and_the_report_says_how_old_it_is() {
    let silent = [
        "app role assignments",
        "federated credentials",
        "interactive sign-ins",
    ];
    let register = begun(71, DeltaOptions::default()).await;
    let mut config = auto(&register);
    config.untold_read_every = UNTOLD_READ_EVERY;
    let assignment = register.simulator.with_tenant(|tenant| {
        let (id, _) = tenant
            .app_access
            .assignments
            .pop_first()
            .expect("an assignment");
        id
    });
    println!("{assignment:?} is gone");
    let report = register.crawl_with(config.clone()).await;
    for name in silent {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Skipped, "{line:#?}");
        let told = line.message.as_deref().unwrap_or_default();
        assert!(told.contains("does not tell its changes"), "{told}");
    }
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    let aged = sqlx::query("update delta_tokens set full_read_at = now() - interval '21 hours'")
        .execute(&register.pool)
        .await;
    assert!(aged.expect("ages").rows_affected() > 0);
    let report = register.crawl_with(config).await;
    for name in silent {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Complete, "{line:#?}");
        assert!(line.read > 0, "{line:#?}");
    }
    assert_followed(&report);
    assert_truth(&register).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_keeps_no_run_from_following_and_is_told_by_each_until_it_is_granted()
{
    let permission = "Member.Read.Hidden";
    let register = begun_without(72, permission).await;
    for _ in 0..2 {
        let report = follow_as_shipped(&register).await;
        assert_followed(&report);
        let members = line(&report, "group members");
        assert_eq!(members.status, CollectionStatus::Partial, "{members:#?}");
        assert_eq!(members.missing_permission.as_deref(), Some(permission));
        let told = line(&report, "service principals").message.as_deref();
        assert!(
            told.is_some_and(|told| told.contains("nothing changed")),
            "{told:?}"
        );
    }
    register.simulator.set_roles(all_roles());
    let report = follow_as_shipped(&register).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    let told = line(&report, "group members").message.as_deref();
    assert!(
        told.is_some_and(|told| told.contains("other permissions")),
        "{told:?}"
    );
    assert_truth(&register).await;
}

fn all_roles() -> Vec<String> {
    permissions::ALL.iter().map(ToString::to_string).collect()
}

/// A register that was filled without this permission.
async fn begun_without(seed: u64, permission: &str) -> Register {
    let spec = TenantSpec::new(seed, 500, 300, 40);
    let register = Register::start(&spec, SimOptions::default()).await;
    let granted = all_roles().into_iter();
    let granted = granted.filter(|role| role != permission);
    register.simulator.set_roles(granted.collect());
    let report = follow_as_shipped(&register).await;
    assert_eq!(report.outcome, RunOutcome::Partial, "{report:#?}");
    register
}

/// A crawl that reads what changed, and what is not told when it is time to.
async fn follow_as_shipped(register: &Register) -> RunReport {
    let mut config = auto(register);
    config.untold_read_every = UNTOLD_READ_EVERY;
    register.crawl_with(config).await
}
