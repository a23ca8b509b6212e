//! Who has what in effect, by walking from each principal: what `docs/views.md` promises, without a line of SQL.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::oracle::{Row, Rows};

/// One way in which something is had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    pub resource: String,
    pub principal: String,
    pub assignment_type: String,
    pub role_scope: String,
    /// `Direct`, `Group`, `Package`.
    pub via_kind: &'static str,
    /// The group or package; none where it is the principal's own.
    pub via_id: Option<String>,
}

/// A place on the way: something that one is in, or a package that one was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    id: String,
    is_package: bool,
    is_eligible: bool,
    /// A member of its own right, not through a group.
    is_direct: bool,
}

pub struct Graph<'a> {
    by_holder: HashMap<&'a str, Vec<&'a Row>>,
    by_group: HashMap<&'a str, Vec<&'a Row>>,
    contents: HashMap<&'a str, Vec<&'a Row>>,
    types: HashMap<&'a str, &'a str>,
    /// As if this package had been taken away.
    without: Option<&'a str>,
}

pub fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column)
        .and_then(|value| value.as_str())
        .unwrap_or_default()
}

/// The type and scope that being given a package's content comes to.
pub fn outcome(content: &Row) -> (&'static str, &'static str) {
    let role = text(content, "role_name").to_lowercase();
    match role.strip_prefix("eligible ") {
        Some(rest) if rest.starts_with("owner") => ("Eligible", "/owner"),
        Some(_) => ("Eligible", "/"),
        None if role.starts_with("owner") => ("Owner", "/"),
        None => ("Direct", "/"),
    }
}

fn gives_membership(row: &Row) -> bool {
    matches!(text(row, "assignment_type"), "Direct" | "Eligible") && holds(row)
}

fn gives_contents(row: &Row) -> bool {
    text(row, "assignment_type") == "Governed" && holds(row)
}

/// Not what is eligible ownership only.
fn holds(row: &Row) -> bool {
    text(row, "role_scope") != "/owner"
        && row["extended_attributes"]
            .get("accessId")
            .and_then(|word| word.as_str())
            != Some("owner")
}

impl<'a> Graph<'a> {
    pub fn new(rows: &'a Rows) -> Self {
        let mut graph = Self {
            by_holder: HashMap::new(),
            by_group: HashMap::new(),
            contents: HashMap::new(),
            types: HashMap::new(),
            without: None,
        };
        for ((table, _), row) in rows {
            match *table {
                "resource_assignments" => {
                    let map = match text(row, "principal_type") {
                        "Group" => &mut graph.by_group,
                        _ => &mut graph.by_holder,
                    };
                    map.entry(text(row, "principal_id")).or_default().push(row);
                }
                "resource_relationships" => {
                    let parent = text(row, "parent_resource_id");
                    graph.contents.entry(parent).or_default().push(row);
                }
                "resources" => {
                    graph
                        .types
                        .insert(text(row, "id"), text(row, "resource_type"));
                }
                _ => {}
            }
        }
        graph
    }

    /// The same as if a package had been removed, with what it gives.
    pub fn without(mut self, package: &'a str) -> Self {
        self.without = Some(package);
        let gone: Vec<&Row> = self.contents.remove(package).unwrap_or_default();
        let goes = |row: &&Row| {
            let kind = text(row, "assignment_type");
            if text(row, "resource_id") == package && kind == "Governed" {
                return true;
            }
            let is_owner = kind == "Owner" || text(row, "role_scope") == "/owner";
            gone.iter().any(|content| {
                let (given, scope) = outcome(content);
                text(content, "child_resource_id") == text(row, "resource_id")
                    && (given == "Eligible") == (kind == "Eligible")
                    && (given == "Owner" || scope == "/owner") == is_owner
                    && matches!(kind, "Direct" | "Owner" | "Eligible")
            })
        };
        for rows in self.by_holder.values_mut() {
            rows.retain(|row| !goes(row));
        }
        // Of what groups hold only the package itself goes.
        for rows in self.by_group.values_mut() {
            rows.retain(|row| text(row, "resource_id") != package || !gives_contents(row));
        }
        self
    }

    pub fn principals(&self) -> impl Iterator<Item = &'a str> {
        self.by_holder.keys().copied()
    }

    /// What a principal holds itself.
    pub fn own(&self, principal: &str) -> &[&'a Row] {
        self.by_holder.get(principal).map_or(&[], Vec::as_slice)
    }

    /// Everything that a principal has, by every way.
    pub fn access_of(&self, principal: &str) -> BTreeSet<Access> {
        let mut all = BTreeSet::new();
        let mut met: HashSet<Place> = HashSet::new();
        let mut open: Vec<Place> = Vec::new();
        for row in self.own(principal) {
            all.insert(access(row, principal, "Direct", None));
            open.extend(next(row, false, true));
        }
        while let Some(place) = open.pop() {
            let is_gone = place.is_package && self.without == Some(place.id.as_str());
            if is_gone || !met.insert(place.clone()) {
                continue;
            }
            if place.is_package {
                for content in self.contents.get(place.id.as_str()).into_iter().flatten() {
                    let (given, scope) = outcome(content);
                    let row = (text(content, "child_resource_id"), given, scope);
                    all.insert(passed_on(row, principal, "Package", &place));
                    open.extend(inside(content, &place));
                }
                continue;
            }
            for row in self.by_group.get(place.id.as_str()).into_iter().flatten() {
                if self.needs_direct(row) && !place.is_direct {
                    continue;
                }
                let held = (
                    text(row, "resource_id"),
                    text(row, "assignment_type"),
                    text(row, "role_scope"),
                );
                all.insert(passed_on(held, principal, "Group", &place));
                open.extend(next(row, place.is_eligible, false));
            }
        }
        all
    }

    /// The lengths of all simple ways from a principal to a resource.
    pub fn ways(&self, principal: &str, resource: &str) -> Vec<usize> {
        let mut lengths = Vec::new();
        for row in self.own(principal) {
            let mut visited = vec![principal.to_owned()];
            self.follow(row, true, resource, &mut visited, &mut lengths);
        }
        lengths.sort_unstable();
        lengths
    }

    /// Packages are not on the way to what is asked.
    fn follow(
        &self,
        row: &Row,
        is_own: bool,
        resource: &str,
        visited: &mut Vec<String>,
        lengths: &mut Vec<usize>,
    ) {
        let to = text(row, "resource_id").to_owned();
        if visited.contains(&to) || self.needs_direct(row) && !is_own && visited.len() > 2 {
            return;
        }
        if to == resource {
            lengths.push(visited.len());
            return;
        }
        if !gives_membership(row) {
            return;
        }
        visited.push(to.clone());
        for held in self.by_group.get(to.as_str()).into_iter().flatten() {
            self.follow(held, false, resource, visited, lengths);
        }
        visited.pop();
    }

    fn needs_direct(&self, row: &Row) -> bool {
        let known = self.types.get(text(row, "resource_id")).copied();
        [text(row, "resource_type"), known.unwrap_or_default()]
            .iter()
            .any(|kind| matches!(*kind, "EntraAppRole" | "EntraApplication"))
    }
}

/// Where an assignment leads.
fn next(row: &Row, is_eligible: bool, is_direct: bool) -> Option<Place> {
    let is_package = gives_contents(row);
    (is_package || gives_membership(row)).then(|| Place {
        id: text(row, "resource_id").to_owned(),
        is_package,
        is_eligible: is_eligible || text(row, "assignment_type") == "Eligible",
        is_direct,
    })
}

/// Where a content of a package leads: into it, and to what it contains where it is a package.
fn inside(content: &Row, place: &Place) -> Vec<Place> {
    let (given, scope) = outcome(content);
    if given == "Owner" || scope == "/owner" {
        return Vec::new();
    }
    let inner = |is_package| Place {
        id: text(content, "child_resource_id").to_owned(),
        is_package,
        is_eligible: place.is_eligible || given == "Eligible",
        is_direct: true,
    };
    vec![inner(false), inner(true)]
}

fn access(row: &Row, principal: &str, via_kind: &'static str, via_id: Option<String>) -> Access {
    Access {
        resource: text(row, "resource_id").to_owned(),
        principal: principal.to_owned(),
        assignment_type: text(row, "assignment_type").to_owned(),
        role_scope: text(row, "role_scope").to_owned(),
        via_kind,
        via_id,
    }
}

fn passed_on(
    (resource, kind, scope): (&str, &str, &str),
    principal: &str,
    via_kind: &'static str,
    place: &Place,
) -> Access {
    let (kind, scope) = match (place.is_eligible, kind) {
        (true, "Owner") => ("Eligible", "/owner"),
        (true, _) => ("Eligible", scope),
        (false, _) => (kind, scope),
    };
    Access {
        resource: resource.to_owned(),
        principal: principal.to_owned(),
        assignment_type: kind.to_owned(),
        role_scope: scope.to_owned(),
        via_kind,
        via_id: Some(place.id.clone()),
    }
}
