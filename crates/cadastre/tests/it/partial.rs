//! One group that cannot be read keeps its rows and spoils nothing else.

use contract::{CollectionStatus, RunOutcome};
use graph_sim::{Fault, Link, MemberKind, RoutePattern, SimOptions, TenantSpec};
use uuid::Uuid;

use crate::{
    oracle::{self, Rows},
    register::{Register, line},
    rows::{differences, readable},
};

/// Two groups with several users as members.
fn two_groups(register: &Register) -> [(Uuid, Vec<Uuid>); 2] {
    let groups = register.simulator.with_tenant(|tenant| {
        let with_members = tenant.groups.keys().map(|group| {
            let members = tenant.members.of(*group).iter();
            let users = members.filter(|link| link.kind == MemberKind::User);
            (*group, users.map(|link| link.id).collect::<Vec<_>>())
        });
        with_members
            .filter(|(_, users)| users.len() >= 4)
            .take(2)
            .collect::<Vec<_>>()
    });
    groups.try_into().expect("the tenant has such groups")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_cannot_be_read_keeps_its_rows_while_everything_else_lands() {
    let spec = TenantSpec::new(7, 150, 40, 30);
    let register = Register::start(&spec, SimOptions::default()).await;
    assert_eq!(register.crawl().await.outcome, RunOutcome::Complete);
    let before = oracle::expected(&register.simulator.truth());
    let [(broken, broken_members), (sound, sound_members)] = two_groups(&register);

    let name = register.simulator.with_tenant(|tenant| {
        let user = |id| Link {
            id,
            kind: MemberKind::User,
        };
        // The same changes on both sides: one member goes, one comes.
        assert!(tenant.remove_member(broken, broken_members[0]));
        assert!(tenant.remove_member(sound, sound_members[0]));
        let stranger = |members: &[Uuid]| {
            let users = tenant.users.keys().copied();
            let mut others = users.filter(|id| !members.contains(id));
            others.next().expect("somebody is no member")
        };
        let (first, second) = (stranger(&broken_members), stranger(&sound_members));
        assert!(tenant.members.add(broken, user(first)));
        assert!(tenant.members.add(sound, user(second)));
        let somebody = tenant.users.values_mut().next().expect("a user");
        somebody.job_title = Some("Chief of Changes".to_owned());
        tenant.groups[&broken].display_name.clone()
    });
    let path = format!("/groups/{broken}/members");
    let fault = Fault::status(RoutePattern::Exact(path), 500, "InternalServerError");
    register.simulator.faults().add(fault);

    let (report, code) = register.crawl_by_command().await;

    assert_eq!((report.outcome, code), (RunOutcome::Partial, 3));
    let members = line(&report, "group members");
    assert_eq!(members.status, CollectionStatus::Partial, "{members:#?}");
    assert_eq!(members.failed_parents, 1);
    assert_eq!((members.inserted, members.deleted), (1, 1), "{members:#?}");
    let [failure] = members.failures.as_slice() else {
        panic!("one group is named: {members:#?}");
    };
    assert_eq!(failure.id, Some(broken));
    assert_eq!(failure.display_name.as_deref(), Some(name.as_str()));
    for other in &report.collections {
        let is_whole = matches!(
            other.status,
            CollectionStatus::Complete | CollectionStatus::Skipped
        );
        assert!(
            is_whole || other.collection == "group members",
            "{other:#?}"
        );
    }
    let posted = "select count(*) from run_reports where outcome = 'partial'";
    assert_eq!(
        register.count(posted).await,
        1,
        "the register has the report"
    );
    // The truth of today, but for the members of the group that could not be read: theirs are of yesterday.
    let now = oracle::expected(&register.simulator.truth());
    let expected = members_from(&before, now, broken);
    let differences = differences(&expected, &register.live_rows().await);
    assert!(differences.is_empty(), "{}", readable(&differences));

    register.simulator.faults().clear();
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    register.assert_equals_truth().await;
}

/// The rows of today with one group's direct memberships of an earlier day.
fn members_from(earlier: &Rows, mut now: Rows, group: Uuid) -> Rows {
    let is_member = |key: &str| key.starts_with(&group.to_string()) && key.contains("|Direct|");
    now.retain(|(_, key), _| !is_member(key));
    let kept = earlier.iter().filter(|((_, key), _)| is_member(key));
    now.extend(kept.map(|(place, row)| (place.clone(), row.clone())));
    now
}
