//! What access means, written a second time and differently: rules over lists of facts in memory, applied until nothing
//! new follows, and paths found by walking forwards.

use std::collections::BTreeSet;

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
    fn makes_member(&self) -> bool {
        self.scope != "/owner" && (self.kind == "Direct" || self.kind == "Eligible")
    }

    fn gives_contents(&self) -> bool {
        self.scope != "/owner" && self.kind == "Governed"
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

impl Containment {
    fn is_content(&self) -> bool {
        self.kind == "Contains"
    }

    fn is_conveying(&self) -> bool {
        self.is_content() || self.kind == "GrantsAccessTo"
    }

    fn is_ownership(&self) -> bool {
        self.role.ends_with("Owner")
    }

    /// What it gives, as an assignment would: type and scope.
    fn outcome(&self) -> (&'static str, &'static str) {
        match self.role {
            "Owner" => ("Owner", "/"),
            "Eligible Owner" => ("Eligible", "/owner"),
            "Eligible Member" => ("Eligible", "/"),
            _ => ("Direct", "/"),
        }
    }
}

/// A row of effective access: resource, principal, type, scope, via kind, via.
pub type Effective = (Uuid, Uuid, String, String, String, Uuid);

/// A step: from, relation, scope or role, to.
pub type PathStep = (Uuid, String, String, Uuid);

/// A path with what it amounts to: type and scope.
pub type Path = (String, String, Vec<PathStep>);

/// Facts of one system.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub assignments: BTreeSet<Assignment>,
    pub containments: BTreeSet<Containment>,
    /// Resources that groups give to their own members only.
    pub app_roles: BTreeSet<Uuid>,
    /// A package that was taken away: nobody has it as one.
    pub lost_package: Option<Uuid>,
}

/// That somebody is in something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fact {
    node: Uuid,
    as_package: bool,
    is_eligible: bool,
    is_direct: bool,
}

impl Model {
    /// Writes everything into the register, as a system's.
    pub async fn store(&self, register: &Register, system_id: i32) {
        for a in &self.assignments {
            register
                .hold_at(system_id, a.holder, a.kind, a.scope, a.resource)
                .await;
        }
        for c in &self.containments {
            register
                .relate_in(system_id, c.parent, c.kind, c.role, c.child)
                .await;
        }
        for role in &self.app_roles {
            register
                .resource(system_id, *role, "EntraAppRole", "An app role")
                .await;
        }
    }

    fn users(&self) -> BTreeSet<Uuid> {
        let user = |a: &Assignment| match a.holder {
            Holder::User(user) => Some(user),
            Holder::Group(_) => None,
        };
        self.assignments.iter().filter_map(user).collect()
    }

    /// The assignments that give something. A scheduled one only dates another.
    fn given(&self) -> impl Iterator<Item = &Assignment> {
        self.assignments.iter().filter(|a| a.kind != "Scheduled")
    }

    /// Everything that is effective access.
    pub fn effective(&self) -> BTreeSet<Effective> {
        let mut rows = BTreeSet::new();
        for user in self.users() {
            let facts = self.facts(user);
            for a in self.given() {
                let own = (a.kind.to_owned(), a.scope.to_owned());
                if a.holder == Holder::User(user) {
                    let (kind, scope) = own;
                    rows.insert((
                        a.resource,
                        user,
                        kind,
                        scope,
                        "Direct".to_owned(),
                        Uuid::nil(),
                    ));
                    continue;
                }
                let group = a.holder.id();
                for fact in facts.iter().filter(|f| self.is_applicable(f, a)) {
                    let (kind, scope) = weakened(a.kind, a.scope, fact.is_eligible);
                    rows.insert((a.resource, user, kind, scope, "Group".to_owned(), group));
                }
            }
            for c in self.containments.iter().filter(|c| c.is_conveying()) {
                for fact in facts.iter().filter(|f| f.node == c.parent) {
                    if c.is_content() && !fact.as_package {
                        continue;
                    }
                    let (kind, scope) = c.outcome();
                    let (kind, scope) = weakened(kind, scope, fact.is_eligible);
                    let via = if fact.as_package {
                        "Package"
                    } else {
                        "Resource"
                    };
                    rows.insert((c.child, user, kind, scope, via.to_owned(), c.parent));
                }
            }
        }
        rows
    }

    /// What is left for these users when a package goes, and with it their own assignments of what it contains.
    pub fn without_package(&self, package: Uuid, users: &BTreeSet<Uuid>) -> Self {
        let is_content = |a: &Assignment| {
            let is_ownership = a.kind == "Owner" || a.scope == "/owner";
            self.containments.iter().any(|c| {
                c.parent == package
                    && c.is_content()
                    && c.child == a.resource
                    && c.is_ownership() == is_ownership
                    && (c.outcome().0 == "Eligible") == (a.kind == "Eligible")
            })
        };
        let is_lost = |a: &Assignment| {
            let is_theirs = matches!(a.holder, Holder::User(user) if users.contains(&user));
            a.kind == "Governed" && a.resource == package
                || is_theirs && ["Direct", "Owner", "Eligible"].contains(&a.kind) && is_content(a)
        };
        let mut left = self.clone();
        left.assignments.retain(|a| !is_lost(a));
        left.lost_package = Some(package);
        left
    }

    /// Can who is in the fact's node make use of the group's assignment?
    fn is_applicable(&self, fact: &Fact, a: &Assignment) -> bool {
        a.holder == Holder::Group(fact.node)
            && !fact.as_package
            && (fact.is_direct || !self.app_roles.contains(&a.resource))
    }

    /// What somebody is in: all rules, again and again, until nothing is new.
    fn facts(&self, user: Uuid) -> BTreeSet<Fact> {
        let mut facts: BTreeSet<Fact> = BTreeSet::new();
        loop {
            let mut new = facts.clone();
            for a in &self.assignments {
                if !a.makes_member() && !a.gives_contents() {
                    continue;
                }
                let fact = |was_eligible: bool, is_direct: bool| Fact {
                    node: a.resource,
                    as_package: a.gives_contents(),
                    is_eligible: was_eligible || a.kind == "Eligible",
                    is_direct,
                };
                if a.holder == Holder::User(user) {
                    new.insert(fact(false, true));
                }
                for known in facts.iter().filter(|f| self.is_applicable(f, a)) {
                    new.insert(fact(known.is_eligible, false));
                }
            }
            for c in &self.containments {
                if !c.is_conveying() || c.is_ownership() {
                    continue;
                }
                for known in facts.iter().filter(|f| f.node == c.parent) {
                    if c.is_content() && !known.as_package {
                        continue;
                    }
                    let as_package = if c.is_content() {
                        &[false, true][..]
                    } else {
                        &[false]
                    };
                    for as_package in as_package {
                        new.insert(Fact {
                            node: c.child,
                            as_package: *as_package,
                            is_eligible: known.is_eligible || c.outcome().0 == "Eligible",
                            is_direct: true,
                        });
                    }
                }
            }
            new.retain(|fact| !fact.as_package || Some(fact.node) != self.lost_package);
            if new == facts {
                return facts;
            }
            facts = new;
        }
    }

    /// Every simple path from a principal to another object, by walking forwards and turning back at what was met.
    pub fn paths(&self, principal: Uuid, target: Uuid) -> BTreeSet<Path> {
        let mut found = BTreeSet::new();
        for a in self
            .given()
            .filter(|a| a.holder.id() == principal && a.resource != principal)
        {
            let walk = Walk {
                steps: vec![step(a)],
                visited: vec![principal, a.resource],
                is_member: a.makes_member(),
                has_contents: a.gives_contents(),
                is_direct: true,
                is_eligible: a.kind == "Eligible",
                outcome: (a.kind, a.scope),
            };
            self.go_on(&walk, target, &mut found);
        }
        found
    }

    fn go_on(&self, walk: &Walk, target: Uuid, found: &mut BTreeSet<Path>) {
        let here = *walk.visited.last().expect("a walk has begun");
        if here == target {
            let (kind, scope) = weakened(walk.outcome.0, walk.outcome.1, walk.is_eligible);
            found.insert((kind, scope, walk.steps.clone()));
            return;
        }
        for a in self.given() {
            let is_open = walk.is_direct || !self.app_roles.contains(&a.resource);
            if a.holder == Holder::Group(here)
                && walk.is_member
                && is_open
                && !walk.visited.contains(&a.resource)
            {
                let mut next = walk.to(step(a), a.resource);
                next.is_member = a.makes_member();
                next.has_contents = a.gives_contents();
                next.is_direct = false;
                next.is_eligible |= a.kind == "Eligible";
                next.outcome = (a.kind, a.scope);
                self.go_on(&next, target, found);
            }
        }
        for c in &self.containments {
            let is_open = if c.is_content() {
                walk.has_contents
            } else {
                c.is_conveying() && (walk.has_contents || walk.is_member)
            };
            if c.parent == here && is_open && !walk.visited.contains(&c.child) {
                let taken = (c.parent, c.kind.to_owned(), c.role.to_owned(), c.child);
                let mut next = walk.to(taken, c.child);
                next.is_member = !c.is_ownership();
                next.has_contents = c.is_content() && !c.is_ownership();
                next.is_direct = true;
                next.is_eligible |= c.outcome().0 == "Eligible";
                next.outcome = c.outcome();
                self.go_on(&next, target, found);
            }
        }
    }
}

/// A walk on its way.
#[derive(Clone)]
struct Walk {
    steps: Vec<PathStep>,
    visited: Vec<Uuid>,
    is_member: bool,
    has_contents: bool,
    is_direct: bool,
    is_eligible: bool,
    outcome: (&'static str, &'static str),
}

impl Walk {
    fn to(&self, step: PathStep, node: Uuid) -> Self {
        let mut next = self.clone();
        next.steps.push(step);
        next.visited.push(node);
        next
    }
}

fn step(a: &Assignment) -> PathStep {
    (
        a.holder.id(),
        a.kind.to_owned(),
        a.scope.to_owned(),
        a.resource,
    )
}

/// What a type and scope amount to for somebody who comes to it so.
fn weakened(kind: &str, scope: &str, is_eligible: bool) -> (String, String) {
    match (is_eligible, kind) {
        (true, "Owner") => ("Eligible".to_owned(), "/owner".to_owned()),
        (true, _) => ("Eligible".to_owned(), scope.to_owned()),
        (false, kind) => (kind.to_owned(), scope.to_owned()),
    }
}
