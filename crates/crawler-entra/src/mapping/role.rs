//! Directory roles: definitions, assignments, eligibility.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use contract::records::{Resource, ResourceAssignment, assignment_type, resource_type};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Mapped, Object,
    window::{Rank, rank},
};

/// A role definition as a resource. `is_privileged` is known in the beta API only.
pub(crate) fn role_definition(value: Value, is_privileged: Option<bool>) -> Option<Resource> {
    let (id, mut role) = Object::read(value)?;
    if !role.has("displayName") {
        return None;
    }
    if let Some(is_privileged) = is_privileged {
        role.add("isPrivileged", is_privileged);
    }
    role.discard("inheritsPermissionsFrom");
    Some(Resource {
        id: Some(id),
        resource_type: Some(resource_type::ENTRA_DIRECTORY_ROLE),
        display_name: role.text("displayName").unwrap_or_else(|| id.to_string()),
        description: role.text("description"),
        enabled: role.flag("isEnabled"),
        template_id: role.guid("templateId"),
        extended_attributes: role.rest(),
        ..Resource::default()
    })
}

/// What an active assignment and its schedule have in common: role, principal, scope.
pub(crate) type ScheduleKey = (Uuid, Uuid, String);

/// What PIM knows about active assignments.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    by_key: HashMap<ScheduleKey, Vec<Schedule>>,
}

/// A time window of an active assignment.
#[derive(Debug)]
pub(crate) struct Schedule {
    id: Option<String>,
    /// The assignment that it is the window of.
    origin: Option<String>,
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    assignment_type: Option<String>,
    /// The eligibility that was activated.
    activated_using: Option<String>,
}

impl FromIterator<(ScheduleKey, Schedule)> for Schedules {
    fn from_iter<I: IntoIterator<Item = (ScheduleKey, Schedule)>>(instances: I) -> Self {
        let mut schedules = Self::default();
        for (key, schedule) in instances {
            schedules.by_key.entry(key).or_default().push(schedule);
        }
        schedules
    }
}

impl Schedules {
    /// The window of an assignment: among those that name it, else among all of the same role, principal and scope.
    fn of(&self, key: &ScheduleKey, assignment: Option<&str>) -> Option<&Schedule> {
        let windows = self.by_key.get(key)?;
        let names_it = |window: &&Schedule| assignment.is_some() && window.origin() == assignment;
        let own = windows.iter().filter(names_it).min_by_key(|one| one.rank());
        own.or_else(|| windows.iter().min_by_key(|one| one.rank()))
    }
}

impl Schedule {
    fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    fn rank(&self) -> Rank<'_> {
        rank(self.start, self.end, self.id.as_deref())
    }
}

/// A schedule instance, but for those that a group's assignment brings about: the register resolves groups itself.
pub(crate) fn schedule(value: Value) -> Option<(ScheduleKey, Schedule)> {
    let mut instance = Object::without_id(value)?;
    if is_inherited(&instance) {
        return None;
    }
    let key = (
        instance.guid("roleDefinitionId")?,
        instance.guid("principalId")?,
        scope_of(&mut instance),
    );
    let schedule = Schedule {
        id: instance.text("id"),
        origin: instance.text("roleAssignmentOriginId"),
        start: instance.date("startDateTime"),
        end: instance.date("endDateTime"),
        assignment_type: instance
            .text("assignmentType")
            .map(|word| capitalised(&word)),
        activated_using: activated_using(&mut instance),
    };
    Some((key, schedule))
}

/// The id of the eligibility instance that an assignment was activated out of.
pub(super) fn activated_using(instance: &mut Object) -> Option<String> {
    instance.nested("activatedUsing")?.text("id")
}

/// The key of an assignment's schedule.
pub(super) fn scope_of(object: &mut Object) -> String {
    let directory = object.text("directoryScopeId");
    let app = object.text("appScopeId");
    directory
        .or(app)
        .map_or_else(|| "/".to_owned(), |scope| lower_guids(&scope))
}

/// An active role assignment.
pub(crate) fn role_assignment(value: Value, schedules: &Schedules) -> Option<ResourceAssignment> {
    let mut object = Object::without_id(value)?;
    let role = object.guid("roleDefinitionId")?;
    let principal = object.guid("principalId")?;
    let scope = scope_of(&mut object);
    let key = (role, principal, scope);
    let mut record = ResourceAssignment::new(assignment_type::DIRECT);
    record.principal_type = principal_type_of(&mut object);
    record.source_id = object.text("id");
    if let Some(schedule) = schedules.of(&key, record.source_id.as_deref()) {
        record.start_date_time = schedule.start;
        record.expiration_date_time = schedule.end;
        record.state.clone_from(&schedule.assignment_type);
        if let Some(eligibility) = &schedule.activated_using {
            object.add("activatedUsing", eligibility.clone());
        }
    }
    let (role, principal, scope) = key;
    record.resource_id = Some(role);
    record.principal_id = Some(principal);
    record.role_scope = Some(scope);
    record.resource_type = Some(resource_type::ENTRA_DIRECTORY_ROLE);
    discard_known(&mut object);
    record.extended_attributes = object.rest();
    Some(record)
}

/// Eligibility for a role. Eligibility that a group brings about is an echo: the register resolves groups itself.
pub(crate) fn role_eligibility(value: Value) -> Mapped<ResourceAssignment> {
    match Object::without_id(value) {
        Some(object) if is_inherited(&object) => Mapped::Echo,
        Some(object) => Mapped::from(direct_eligibility(object)),
        None => Mapped::Unreadable,
    }
}

fn direct_eligibility(mut object: Object) -> Option<ResourceAssignment> {
    let mut record = ResourceAssignment::new(assignment_type::ELIGIBLE);
    record.resource_id = Some(object.guid("roleDefinitionId")?);
    record.principal_id = Some(object.guid("principalId")?);
    record.role_scope = Some(scope_of(&mut object));
    record.resource_type = Some(resource_type::ENTRA_DIRECTORY_ROLE);
    record.principal_type = principal_type_of(&mut object);
    record.start_date_time = object.date("startDateTime");
    record.expiration_date_time = object.date("endDateTime");
    record.source_id = object.text("id");
    discard_known(&mut object);
    record.extended_attributes = object.rest();
    Some(record)
}

fn principal_type_of(object: &mut Object) -> Option<contract::TypeName> {
    object.nested("principal")?.principal_kind()
}

/// Is this the echo of an assignment to a group the principal belongs to?
pub(super) fn is_inherited(object: &Object) -> bool {
    object.peek("memberType").is_some_and(|kind| {
        kind.eq_ignore_ascii_case("group") || kind.eq_ignore_ascii_case("inherited")
    })
}

/// Fields that say what the record says already, or nothing that lasts.
fn discard_known(object: &mut Object) {
    for key in [
        "principal",
        "principalOrganizationId",
        "memberType",
        "resourceScope",
        "condition",
    ] {
        object.discard(key);
    }
}

/// `assigned` and `Assigned` are the same word.
pub(super) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// GUIDs inside a scope come in any case.
fn lower_guids(scope: &str) -> String {
    let segments: Vec<String> = scope
        .split('/')
        .map(|segment| match Uuid::parse_str(segment) {
            Ok(guid) => guid.to_string(),
            Err(_) => segment.to_owned(),
        })
        .collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn assignment() -> Value {
        json!({
            "id": "lAPp-1", "principalId": "D15F6B83-0E7A-4C29-B4D7-68A3F1E2C950",
            "roleDefinitionId": "62e90394-69f5-4237-9190-012177145e10",
            "directoryScopeId": "/administrativeUnits/58E1C7B4-9F20-4AD3-8E6B-03D7F5A2C9E1", "appScopeId": null,
            "principal": {"@odata.type": "#microsoft.graph.group", "id": "d15f6b83-0e7a-4c29-b4d7-68a3f1e2c950"}
        })
    }

    #[test]
    fn a_role_held_by_a_group_keeps_the_group_as_its_holder_and_its_scope() {
        let record = role_assignment(assignment(), &Schedules::default()).expect("an assignment");
        assert_eq!(
            record.principal_type.map(|t| t.to_string()).as_deref(),
            Some("Group")
        );
        assert_eq!(
            record.role_scope.as_deref(),
            Some("/administrativeUnits/58e1c7b4-9f20-4ad3-8e6b-03d7f5a2c9e1")
        );
        assert_eq!(record.source_id.as_deref(), Some("lAPp-1"));
        assert_eq!(record.expiration_date_time, None);
        assert_eq!(record.extended_attributes, None);
    }

    /// A window of the assignment.
    fn instance(id: &str, origin: Option<&str>, start: &str) -> Value {
        json!({
            "id": id, "principalId": "d15f6b83-0e7a-4c29-b4d7-68a3f1e2c950", "memberType": "Direct",
            "roleDefinitionId": "62E90394-69F5-4237-9190-012177145E10",
            "directoryScopeId": "/administrativeUnits/58e1c7b4-9f20-4ad3-8e6b-03d7f5a2c9e1",
            "assignmentType": "activated", "roleAssignmentOriginId": origin,
            "startDateTime": start, "endDateTime": "2026-02-03T15:12:44.103Z"
        })
    }

    fn start_with(instances: &[Value]) -> Option<String> {
        let schedules: Schedules = instances.iter().cloned().filter_map(schedule).collect();
        let record = role_assignment(assignment(), &schedules).expect("an assignment");
        record.start_date_time.map(|start| start.to_rfc3339())
    }

    #[test]
    fn an_activated_assignment_gets_start_end_and_state_from_its_schedule() {
        let schedules: Schedules = schedule(instance("x", None, "2026-02-03T07:12:44.103Z"))
            .into_iter()
            .collect();
        let record = role_assignment(assignment(), &schedules).expect("an assignment");
        assert_eq!(record.state.as_deref(), Some("Activated"));
        assert!(record.start_date_time < record.expiration_date_time);
    }

    #[test]
    fn the_schedule_of_an_assignment_does_not_depend_on_the_order_of_the_list() {
        let mut inherited = instance("a", Some("lAPp-1"), "2026-01-01T00:00:00Z");
        inherited["memberType"] = json!("Group");
        let mut instances = vec![
            instance("b", None, "2026-02-01T00:00:00Z"),
            instance("c", None, "2026-02-02T00:00:00Z"),
            inherited,
        ];
        for _ in 0..2 {
            let start = start_with(&instances);
            assert_eq!(start.as_deref(), Some("2026-02-01T00:00:00+00:00"));
            instances.reverse();
        }
        // The schedules that name the assignment go before those that name none, or another.
        instances.insert(0, instance("d", Some("lAPp-1"), "2026-02-03T01:00:00Z"));
        instances.push(instance("e", Some("lAPp-1"), "2026-02-03T00:00:00Z"));
        instances.push(instance("f", Some("lAPp-2"), "2026-01-03T00:00:00Z"));
        for _ in 0..2 {
            let start = start_with(&instances);
            assert_eq!(start.as_deref(), Some("2026-02-03T00:00:00+00:00"));
            instances.reverse();
        }
    }

    #[test]
    fn eligibility_that_a_group_brings_about_is_left_to_the_group() {
        let mut instance = json!({
            "id": "x-e", "principalId": "1b9f2c74-6a0d-4f3e-8c15-90d2a7e4b611", "memberType": "Group",
            "roleDefinitionId": "fe930be7-5e62-47db-91af-98c3a49a38b1", "directoryScopeId": "/",
            "startDateTime": "2025-09-01T08:00:00Z", "endDateTime": null
        });
        assert_eq!(role_eligibility(instance.clone()), Mapped::Echo);
        instance["memberType"] = json!("direct");
        let Mapped::Record(record) = role_eligibility(instance.clone()) else {
            panic!("eligibility");
        };
        assert_eq!(record.assignment_type, assignment_type::ELIGIBLE);
        assert_eq!(record.role_scope.as_deref(), Some("/"));
        assert_eq!(record.expiration_date_time, None);
        instance["principalId"] = json!(null);
        assert_eq!(role_eligibility(instance), Mapped::Unreadable);
    }

    #[test]
    fn a_role_definition_keeps_its_template_and_privilege() {
        let resource = role_definition(
            json!({"id": "62e90394-69f5-4237-9190-012177145e10", "displayName": "Global Administrator",
                "templateId": "62E90394-69F5-4237-9190-012177145E10", "isEnabled": true, "isBuiltIn": true}),
            Some(true),
        )
        .expect("a role");
        assert_eq!(resource.template_id, resource.id);
        assert_eq!(resource.enabled, Some(true));
        assert_eq!(
            resource.extended_attributes.map(Value::Object),
            Some(json!({"isBuiltIn": true, "isPrivileged": true}))
        );
    }
}
