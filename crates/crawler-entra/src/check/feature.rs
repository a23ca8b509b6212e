//! Words for what a crawl can read and what that takes.

use serde::Serialize;

use crate::{CrawlConfig, graph::Version};

/// What the crawler can read, as far as it is permitted and licensed on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Feature {
    /// The tenant's id and name.
    Organization,
    /// Users and guests.
    Users,
    /// When users signed in last.
    SignInActivity,
    /// The day that users leave.
    LeaveDate,
    /// Custom security attributes of users.
    CustomSecurityAttributes,
    /// The tenant's product licences.
    Licences,
    /// Groups, their members and owners.
    Groups,
    /// Members of groups that hide them.
    HiddenMembers,
    /// Applications, service principals, their owners and app-role assignments.
    Applications,
    /// What applications may do in the name of users.
    DelegatedGrants,
    /// Directory roles and who holds them.
    DirectoryRoles,
    /// Who may activate a directory role.
    RoleEligibility,
    /// Until when directory roles are held.
    RoleSchedules,
    /// Which groups are under PIM.
    GroupPimDiscovery,
    /// Who may activate membership of a group.
    GroupEligibility,
    /// Until when activated memberships last.
    GroupSchedules,
    /// Administrative units and their members.
    AdministrativeUnits,
    /// Who holds a role in an administrative unit.
    ScopedRoleMembers,
    /// Catalogs, access packages, policies, assignments, requests.
    EntitlementManagement,
    /// Access reviews and their decisions.
    AccessReviews,
    /// Conditional access policies and named locations.
    ConditionalAccess,
}

/// A licence that a feature of Entra needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Licence {
    /// Microsoft Entra ID P1.
    #[serde(rename = "Microsoft Entra ID P1")]
    P1,
    /// Microsoft Entra ID P2.
    #[serde(rename = "Microsoft Entra ID P2")]
    P2,
    /// Microsoft Entra ID Governance.
    #[serde(rename = "Microsoft Entra ID P2 or ID Governance")]
    Governance,
}

impl Licence {
    /// The product's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::P1 => "Microsoft Entra ID P1",
            Self::P2 => "Microsoft Entra ID P2",
            Self::Governance => "Microsoft Entra ID P2 or ID Governance",
        }
    }
}

/// What decides whether a crawl reads a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectedBy {
    /// Every crawl does.
    Always,
    /// `--sync-principals`.
    Principals,
    /// `--sync-service-principals`.
    ServicePrincipals,
    /// `--sync-resources` or `--sync-assignments`.
    Resources,
    /// `--sync-assignments`.
    Assignments,
    /// `--sync-governance`.
    Governance,
    /// `--sync-contexts`.
    Contexts,
    /// `--sync-pim`.
    Pim,
    /// A name among `--custom-user-attributes` that begins with this.
    UserAttribute(&'static str),
}

impl SelectedBy {
    /// Does this configuration ask for it?
    pub fn holds(self, config: &CrawlConfig) -> bool {
        let selection = config.selection;
        match self {
            Self::Always => true,
            Self::Principals => selection.principals,
            Self::ServicePrincipals => selection.service_principals,
            Self::Resources => selection.resources || selection.assignments,
            Self::Assignments => selection.assignments,
            Self::Governance => selection.governance,
            Self::Contexts => selection.contexts,
            Self::Pim => selection.pim,
            Self::UserAttribute(prefix) => {
                let names = config.custom_user_attributes.iter();
                names.into_iter().any(|name| name.starts_with(prefix))
            }
        }
    }

    /// The flag that selects it, for people.
    pub fn flag(self) -> String {
        match self {
            Self::Always => "always".to_owned(),
            Self::Principals => "--sync-principals".to_owned(),
            Self::ServicePrincipals => "--sync-service-principals".to_owned(),
            Self::Resources => "--sync-resources or --sync-assignments".to_owned(),
            Self::Assignments => "--sync-assignments".to_owned(),
            Self::Governance => "--sync-governance".to_owned(),
            Self::Contexts => "--sync-contexts".to_owned(),
            Self::Pim => "--sync-pim".to_owned(),
            Self::UserAttribute(name) => format!("--custom-user-attributes {name}"),
        }
    }
}

/// A question to Graph whose answer tells whether a feature can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe {
    pub version: Version,
    /// The address; `{group}` stands for the id of any group.
    pub relative: &'static str,
    /// An answer proves the permission. Some properties are silently left out without theirs.
    pub is_proof: bool,
}

/// What one feature needs.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    /// The feature.
    pub feature: Feature,
    /// What people call it.
    pub title: &'static str,
    /// Groups of permissions: one of each is needed, the least privileged first.
    pub permissions: &'static [&'static [&'static str]],
    /// The licence, if there is one.
    pub licence: Option<Licence>,
    /// What selects it.
    pub selected_by: SelectedBy,
    pub(crate) probe: Option<Probe>,
}

impl Requirement {
    /// What to grant when nothing is granted yet.
    pub fn least_privileged(&self) -> impl Iterator<Item = &'static str> {
        self.permissions
            .iter()
            .filter_map(|any_of| any_of.first().copied())
    }
}
