//! `/groups` and what hangs on it.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::objects::{ObjectView, expanded, link_page};
use super::paging::{LARGEST_PAGE, Paging, behind};
use super::property::{Entity, Filter, Property, on_request, render, select, shown};
use super::wire::{licenses, maybe_time, on_premises, security_identifier, text, time, varied_id};
use super::{Call, Route, Version, get};
use crate::model::{Group, Link, LinkMap, MemberKind, Tenant};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get("/groups", permissions::GROUPS, 1, list),
    get("/groups/$count", permissions::GROUPS, 1, count),
    get("/groups/{id}", permissions::GROUPS, 1, single),
    get("/groups/{id}/members", permissions::GROUPS, 3, members),
    get("/groups/{id}/owners", permissions::GROUPS, 1, owners),
    get(
        "/groups/{id}/transitiveMembers",
        permissions::GROUPS,
        5,
        transitive_members,
    ),
];

impl Entity for Group {
    const NAME: &'static str = "group";
    const PROPERTIES: &'static [Property<Self>] = PROPERTIES;
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.group"
    }
}

const PROPERTIES: &[Property<Group>] = &[
    shown("id", |group| varied_id(group.id)),
    shown("deletedDateTime", |_| Value::Null),
    shown("classification", |group| {
        text(group.classification.as_ref())
    }),
    shown("createdDateTime", |group| time(group.created)),
    shown("description", |group| text(group.description.as_ref())),
    shown("displayName", |group| json!(group.display_name)),
    shown("expirationDateTime", |group| maybe_time(group.expiration)),
    shown("groupTypes", |group| json!(group.group_types)),
    shown("isAssignableToRole", |group| {
        json!(group.is_assignable_to_role)
    }),
    shown("mail", |group| text(group.mail.as_ref())),
    shown("mailEnabled", |group| json!(group.mail_enabled)),
    shown("mailNickname", |group| json!(group.mail_nickname)),
    shown("membershipRule", |group| {
        text(group.membership_rule.as_ref())
    }),
    shown("membershipRuleProcessingState", |group| {
        text(group.membership_rule_processing_state.as_ref())
    }),
    shown("onPremisesDomainName", |group| {
        on_premises(group.on_premises.as_ref(), |source| {
            Some(source.domain_name.clone())
        })
    }),
    shown("onPremisesLastSyncDateTime", |group| {
        on_premises(group.on_premises.as_ref(), |source| {
            Some(time(source.last_sync))
        })
    }),
    shown("onPremisesNetBiosName", |group| {
        on_premises(group.on_premises.as_ref(), |source| {
            source.net_bios_name.clone()
        })
    }),
    shown("onPremisesSamAccountName", |group| {
        on_premises(group.on_premises.as_ref(), |source| {
            Some(source.sam_account_name.clone())
        })
    }),
    shown("onPremisesSecurityIdentifier", |group| {
        on_premises(group.on_premises.as_ref(), |source| {
            Some(source.security_identifier.clone())
        })
    }),
    shown("onPremisesSyncEnabled", |group| {
        json!(group.on_premises.as_ref().map(|_| true))
    }),
    shown("onPremisesProvisioningErrors", |_| json!([])),
    shown("preferredDataLocation", |_| Value::Null),
    shown("preferredLanguage", |_| Value::Null),
    shown("proxyAddresses", |group| json!(group.proxy_addresses)),
    shown("renewedDateTime", |group| maybe_time(group.renewed)),
    shown("resourceBehaviorOptions", |_| json!([])),
    shown("resourceProvisioningOptions", |group| {
        json!(group.resource_provisioning_options)
    }),
    shown("securityEnabled", |group| json!(group.security_enabled)),
    shown("securityIdentifier", |group| security_identifier(group.id)),
    shown("theme", |_| Value::Null),
    shown("uniqueName", |_| Value::Null),
    shown("visibility", |group| text(group.visibility.as_ref())),
    on_request("isManagementRestricted", |group| {
        json!(group.is_management_restricted)
    }),
    on_request("assignedLicenses", |group| licenses(&group.licenses)),
    on_request("assignedLabels", |_| json!([])),
    on_request("licenseProcessingState", |_| Value::Null),
    on_request("hasMembersWithLicenseErrors", |_| Value::Null),
];

/// The relations a request expands, each with how to render its objects.
struct Expansions<'a> {
    call: &'a Call<'a>,
    views: Vec<(&'static str, ObjectView<'a>)>,
}

impl<'a> Expansions<'a> {
    fn of(call: &'a Call<'a>) -> Result<Self, GraphError> {
        let mut views = Vec::new();
        for expand in call.query.expands()? {
            let name = match expand.name.as_str() {
                "members" => "members",
                "owners" => "owners",
                other => {
                    let message = format!(
                        "Parsing OData Select and Expand failed: '{other}' cannot be expanded on type 'microsoft.graph.group'."
                    );
                    return Err(GraphError::bad_request(message));
                }
            };
            views.push((name, ObjectView::new(call, expand.select)?));
        }
        if views.len() > 1 {
            return Err(GraphError::unsupported(
                "Only one multi-valued relation can be expanded at a time.",
            ));
        }
        Ok(Self { call, views })
    }

    /// Unlike the lists of v1.0, expanding shows service principals.
    fn add(&self, group: &Group, object: &mut serde_json::Map<String, Value>) {
        for (name, view) in &self.views {
            let links = match *name {
                "members" if is_hidden(self.call, group) => &[],
                "members" => self.call.tenant.members.of(group.id),
                _ => self.call.tenant.owners.of(group.id),
            };
            object.insert((*name).to_owned(), expanded(view, links));
        }
    }
}

fn is_hidden(call: &Call<'_>, group: &Group) -> bool {
    group.hides_members() && !call.grants.has_any(permissions::HIDDEN_MEMBERS)
}

fn list(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection = select::<Group>(call.query.select().as_deref(), call.version, call.grants)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let filter = Filter::<Group>::parse(call.query.get("$filter"), call.version, call.is_eventual)?;
    let expansions = Expansions::of(call)?;
    let groups =
        behind(&call.tenant.groups, paging.after_id()?).filter(|group| filter.matches(group));
    let mut page = paging.page(
        call,
        "groups",
        groups,
        |group| group.id.to_string(),
        |group| {
            let mut object = render(*group, &selection);
            expansions.add(group, &mut object);
            Value::Object(object)
        },
    );
    if call.query.wants_count() && call.is_eventual && paging.after().is_none() {
        let count = call
            .tenant
            .groups
            .values()
            .filter(|group| filter.matches(group))
            .count();
        page["@odata.count"] = json!(count);
    }
    Ok(Body::Json(page))
}

fn count(call: &Call<'_>) -> Result<Body, GraphError> {
    if !call.is_eventual {
        return Err(GraphError::bad_request(
            "$count is not currently supported.",
        ));
    }
    let filter = Filter::<Group>::parse(call.query.get("$filter"), call.version, true)?;
    let count = call
        .tenant
        .groups
        .values()
        .filter(|group| filter.matches(group))
        .count();
    Ok(Body::Text(count.to_string()))
}

fn find<'a>(call: &Call<'a>) -> Result<&'a Group, GraphError> {
    let tenant = call.tenant;
    tenant
        .groups
        .get(&call.id(0)?)
        .ok_or_else(|| GraphError::not_found(call.parameters[0]))
}

fn single(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection = select::<Group>(call.query.select().as_deref(), call.version, call.grants)?;
    let expansions = Expansions::of(call)?;
    let group = find(call)?;
    let mut object = render(group, &selection);
    object.insert(
        "@odata.context".to_owned(),
        call.context("groups/$entity").into(),
    );
    expansions.add(group, &mut object);
    Ok(Body::Json(Value::Object(object)))
}

fn members(call: &Call<'_>) -> Result<Body, GraphError> {
    let group = find(call)?;
    if is_hidden(call, group) {
        return link_page(call, &LinkMap::default(), group.id, false);
    }
    link_page(
        call,
        &call.tenant.members,
        group.id,
        call.version == Version::V1,
    )
}

fn owners(call: &Call<'_>) -> Result<Body, GraphError> {
    let group = find(call)?;
    link_page(
        call,
        &call.tenant.owners,
        group.id,
        call.version == Version::V1,
    )
}

fn transitive_members(call: &Call<'_>) -> Result<Body, GraphError> {
    let group = find(call)?;
    let mut all = LinkMap::default();
    if !is_hidden(call, group) {
        all.set(group.id, reachable(call.tenant, group.id));
    }
    link_page(call, &all, group.id, false)
}

/// Everything inside a group, however deep, each object once. Groups that contain
/// each other end the walk instead of going round.
fn reachable(tenant: &Tenant, start: Uuid) -> Vec<Link> {
    let mut seen: HashSet<Uuid> = HashSet::from([start]);
    let mut found: BTreeSet<Link> = BTreeSet::new();
    let mut open = vec![start];
    while let Some(group) = open.pop() {
        for link in tenant.members.of(group) {
            found.insert(*link);
            if link.kind == MemberKind::Group && seen.insert(link.id) {
                open.push(link.id);
            }
        }
    }
    found.into_iter().collect()
}
