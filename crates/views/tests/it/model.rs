//! What access means, written a second time and differently: walks over a list of edges in memory.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::register::{Holder, Register};

/// A live assignment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    pub holder: Holder,
    pub kind: &'static str,
    pub scope: &'static str,
    pub resource: Uuid,
}

impl Assignment {
    fn is_ownership(&self) -> bool {
        self.scope == "/owner" || self.kind == "Owner" || self.kind == "OAuth2Grant"
    }

    fn makes_member(&self) -> bool {
        !self.is_ownership() && (self.kind == "Direct" || self.kind == "Eligible")
    }

    fn conveys_contents(&self) -> bool {
        !self.is_ownership()
    }
}

/// A live relationship: the parent's holders have the child, as members or as owners.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Containment {
    pub parent: Uuid,
    pub kind: &'static str,
    pub role: &'static str,
    pub child: Uuid,
}

/// A row of `effective_access`: resource, principal, type, scope, via.
pub type Effective = (Uuid, Uuid, String, String, Uuid);

/// A step: from, relation, scope or role, to.
pub type PathStep = (Uuid, String, String, Uuid);

/// A path with what it amounts to: type and scope.
pub type Path = (String, String, Vec<PathStep>);

/// Assignments and relationships of one system.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub assignments: BTreeSet<Assignment>,
    pub containments: BTreeSet<Containment>,
}

impl Model {
    /// Writes everything into the register.
    pub async fn store(&self, register: &Register) {
        for a in &self.assignments {
            register
                .hold_at(register.system_id, a.holder, a.kind, a.scope, a.resource)
                .await;
        }
        for c in &self.containments {
            register.relate(c.parent, c.kind, c.role, c.child).await;
        }
    }

    /// Everything that `effective_access` should hold: each member climbs from group to group.
    pub fn effective(&self) -> BTreeSet<Effective> {
        let mut rows = BTreeSet::new();
        let mut users: BTreeMap<Uuid, Vec<&Assignment>> = BTreeMap::new();
        for a in &self.assignments {
            if let Holder::User(user) = a.holder {
                users.entry(user).or_default().push(a);
            }
        }
        for (user, own) in users {
            let mut waiting: Vec<(Uuid, bool)> = Vec::new();
            for a in own {
                let own_row = (
                    a.resource,
                    user,
                    a.kind.to_owned(),
                    a.scope.to_owned(),
                    Uuid::nil(),
                );
                rows.insert(own_row);
                if a.makes_member() {
                    waiting.push((a.resource, a.kind == "Eligible"));
                }
            }
            let mut met = BTreeSet::new();
            while let Some((group, is_eligible)) = waiting.pop() {
                if !met.insert((group, is_eligible)) {
                    continue;
                }
                for a in self.held_by_group(group) {
                    let (kind, scope) = outcome(a, is_eligible);
                    rows.insert((a.resource, user, kind, scope, group));
                    if a.makes_member() {
                        waiting.push((a.resource, is_eligible || a.kind == "Eligible"));
                    }
                }
            }
        }
        rows
    }

    fn held_by_group(&self, group: Uuid) -> impl Iterator<Item = &Assignment> {
        self.assignments
            .iter()
            .filter(move |a| a.holder == Holder::Group(group))
    }

    /// Every simple path from a principal to another object, by walking forwards and turning back at what was met.
    pub fn paths(&self, principal: Uuid, target: Uuid) -> BTreeSet<Path> {
        let mut found = BTreeSet::new();
        for a in self
            .assignments
            .iter()
            .filter(|a| a.holder.id() == principal && a.resource != principal)
        {
            let walk = Walk {
                steps: vec![step(a)],
                visited: vec![principal, a.resource],
                is_member: a.makes_member(),
                has_contents: a.conveys_contents(),
                is_eligible: a.kind == "Eligible",
                last: a,
            };
            self.go_on(walk, target, &mut found);
        }
        found
    }

    fn go_on<'a>(&'a self, walk: Walk<'a>, target: Uuid, found: &mut BTreeSet<Path>) {
        let here = *walk.visited.last().expect("a walk has begun");
        if here == target {
            let (kind, scope) = outcome(walk.last, walk.is_eligible);
            found.insert((kind, scope, walk.steps));
            return;
        }
        if walk.is_member {
            for a in self.held_by_group(here) {
                if !walk.visited.contains(&a.resource) {
                    let mut next = walk.clone();
                    next.steps.push(step(a));
                    next.visited.push(a.resource);
                    next.is_member = a.makes_member();
                    next.has_contents = a.conveys_contents();
                    next.is_eligible |= a.kind == "Eligible";
                    next.last = a;
                    self.go_on(next, target, found);
                }
            }
        }
        if walk.has_contents {
            for c in self.containments.iter().filter(|c| c.parent == here) {
                if c.kind != "DelegatesScope" && !walk.visited.contains(&c.child) {
                    let mut next = walk.clone();
                    next.steps
                        .push((c.parent, c.kind.to_owned(), c.role.to_owned(), c.child));
                    next.visited.push(c.child);
                    next.is_member = c.role != "Owner";
                    next.has_contents = c.role != "Owner";
                    self.go_on(next, target, found);
                }
            }
        }
    }
}

/// A walk on its way.
#[derive(Clone)]
struct Walk<'a> {
    steps: Vec<PathStep>,
    visited: Vec<Uuid>,
    is_member: bool,
    has_contents: bool,
    is_eligible: bool,
    last: &'a Assignment,
}

fn step(a: &Assignment) -> PathStep {
    (
        a.holder.id(),
        a.kind.to_owned(),
        a.scope.to_owned(),
        a.resource,
    )
}

/// What an assignment amounts to for somebody who comes to it so.
fn outcome(last: &Assignment, is_eligible: bool) -> (String, String) {
    match (is_eligible, last.kind) {
        (true, "Owner") => ("Eligible".to_owned(), "/owner".to_owned()),
        (true, _) => ("Eligible".to_owned(), last.scope.to_owned()),
        (false, kind) => (kind.to_owned(), last.scope.to_owned()),
    }
}
