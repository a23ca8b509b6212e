use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;
use views::MatrixCell;

use crate::{
    model::Effective,
    random::{self, Dice},
    register::{DEFAULT_WORKSPACE, Holder, Register, id},
};

/// The cells that the rows of effective access amount to.
fn cells(rows: &BTreeSet<Effective>) -> BTreeMap<(Uuid, Uuid), [bool; 5]> {
    let mut cells: BTreeMap<(Uuid, Uuid), [bool; 5]> = BTreeMap::new();
    for (resource, principal, kind, scope, via, _) in rows {
        let cell = cells.entry((*resource, *principal)).or_default();
        let is_own = via == "Direct";
        let flags = [
            is_own && ["Direct", "OAuth2Grant"].contains(&kind.as_str()),
            !is_own && !["Owner", "Eligible"].contains(&kind.as_str()) || kind == "Indirect",
            kind == "Owner" || scope == "/owner",
            kind == "Eligible",
            via == "Package" || kind == "Governed",
        ];
        for (flag, is_so) in cell.iter_mut().zip(flags) {
            *flag |= is_so;
        }
    }
    cells
}

fn flags(cell: &MatrixCell) -> [bool; 5] {
    [
        cell.is_direct,
        cell.is_indirect,
        cell.is_owner,
        cell.is_eligible,
        cell.is_governed,
    ]
}

async fn matrix(
    register: &Register,
    workspace_id: i32,
    system_id: i32,
    resources: &[Uuid],
    principals: &[Uuid],
) -> Vec<MatrixCell> {
    views::permission_matrix(
        &register.pool,
        workspace_id,
        system_id,
        resources,
        principals,
    )
    .await
    .expect("a page")
}

#[tokio::test]
async fn the_pages_of_the_matrix_together_are_effective_access() {
    let register = Register::start().await;
    let mut dice = Dice::new(6);
    let resources: Vec<Uuid> = random::groups()
        .into_iter()
        .chain(random::things())
        .collect();
    for round in 0..30 {
        let model = random::model(&mut dice);
        let system = register
            .add_system(DEFAULT_WORKSPACE, &format!("matrix:{round}"))
            .await;
        model.store(&register, system).await;
        let expected = model.effective();
        let mut found = BTreeMap::new();
        let mut ways = 0;
        for resources in resources.chunks(3) {
            for principals in random::users().chunks(3) {
                for cell in
                    matrix(&register, DEFAULT_WORKSPACE, system, resources, principals).await
                {
                    ways += cell.via.len();
                    found.insert((cell.resource_id, cell.principal_id), flags(&cell));
                }
            }
        }
        assert_eq!(found, cells(&expected), "{model:#?}");
        assert_eq!(ways, expected.len(), "{model:#?}");
    }
}

#[tokio::test]
async fn a_cell_says_by_which_ways_and_another_workspace_sees_nothing() {
    let register = Register::start().await;
    let (ada, team, package) = (id(1), id(101), id(201));
    register
        .resource(register.system_id, package, "BusinessRole", "Starter")
        .await;
    register.hold(Holder::User(ada), "Direct", team).await;
    register.hold(Holder::User(ada), "Governed", package).await;
    register.relate(package, "Contains", "Member", team).await;
    let page = matrix(
        &register,
        DEFAULT_WORKSPACE,
        register.system_id,
        &[team],
        &[ada],
    )
    .await;
    assert_eq!(page.len(), 1);
    assert_eq!(flags(&page[0]), [true, true, false, false, true]);
    let ways: Vec<(&str, Option<&str>)> = page[0]
        .via
        .iter()
        .map(|way| (way.kind.as_str(), way.name.as_deref()))
        .collect();
    assert_eq!(ways, [("Direct", None), ("Package", Some("Starter"))]);
    let theirs = register.add_workspace("theirs").await;
    let nothing = matrix(&register, theirs, register.system_id, &[team], &[ada]).await;
    assert!(nothing.is_empty());
}
