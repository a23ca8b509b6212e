//! What a check found out, for people and programs.

use chrono::{DateTime, Utc};
pub use contract::{CheckOutcome, FeatureStatus, GrantsReport};
use serde::Serialize;

use super::{
    feature::{Feature, Licence},
    requirements::REQUIREMENTS,
};
use crate::config::{Cloud, SignInMethod};

/// The answer of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// The whole in a word.
    pub outcome: CheckOutcome,
    /// When it was checked.
    pub checked_at: DateTime<Utc>,
    /// The tenant as configured.
    pub tenant_id: String,
    /// The application's client id: as configured, else as the token says.
    pub client_id: Option<String>,
    /// The cloud as configured.
    pub cloud: Cloud,
    /// Where Graph is.
    pub graph: String,
    /// How the sign-in went.
    pub method: SignInMethod,
    /// What the token contains.
    pub token: TokenReport,
    /// What the application's service principal was granted.
    pub grants: GrantsReport,
    /// Each feature, those that are not selected too.
    pub features: Vec<FeatureReport>,
}

/// What the token contains.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenReport {
    /// The permissions in it; `None` when it cannot be read.
    pub roles: Option<Vec<String>>,
    /// When it was issued; a managed identity's may be many hours old.
    pub issued_at: Option<DateTime<Utc>>,
    /// Until when it is good.
    pub expires_at: Option<DateTime<Utc>>,
}

/// One feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeatureReport {
    /// Which.
    pub feature: Feature,
    /// What people call it.
    pub title: &'static str,
    /// Does the configuration ask for it?
    pub is_selected: bool,
    /// What selects it.
    pub selected_by: String,
    /// Can it be read?
    pub status: FeatureStatus,
    /// The permissions in the token that allow it.
    pub granted_by: Vec<String>,
    /// What to grant, least privileged.
    pub missing_permissions: Vec<&'static str>,
    /// The licence that it needs.
    pub licence: Option<Licence>,
    /// More about it, in a sentence.
    pub detail: Option<String>,
}

impl CheckReport {
    /// The token says that nothing at all is granted.
    pub fn has_no_roles(&self) -> bool {
        self.token.roles.as_ref().is_some_and(Vec::is_empty)
    }

    /// What must be granted so that everything selected can be read, each once. What another of them brings anyway is left
    /// out.
    pub fn permissions_to_grant(&self) -> Vec<&'static str> {
        let missing: Vec<(&str, &[&str])> = self
            .features
            .iter()
            .filter(|f| f.is_selected)
            .flat_map(missing_groups)
            .collect();
        let mut names: Vec<&'static str> = Vec::new();
        for feature in self.features.iter().filter(|f| f.is_selected) {
            for name in &feature.missing_permissions {
                if !names.contains(name) {
                    names.push(name);
                }
            }
        }
        for name in names.clone() {
            let mut needs_it = missing.iter().filter(|(least, _)| *least == name);
            let is_covered = needs_it.all(|(_, any_of)| {
                let others = any_of.iter().filter(|other| **other != name);
                others.into_iter().any(|other| names.contains(other))
            });
            if is_covered {
                names.retain(|kept| *kept != name);
            }
        }
        names
    }
}

/// The missing permissions of a feature, each with those that would do as well.
fn missing_groups(
    feature: &FeatureReport,
) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let requirement = REQUIREMENTS.iter().find(|r| r.feature == feature.feature);
    let groups = requirement.map_or(&[][..], |requirement| requirement.permissions);
    groups
        .iter()
        .filter_map(|any_of| Some((*any_of.first()?, *any_of)))
        .filter(|(least, _)| feature.missing_permissions.contains(least))
}

/// The whole out of the parts: what is not selected does not count.
pub(super) fn outcome_of(features: &[FeatureReport]) -> CheckOutcome {
    let selected = || features.iter().filter(|f| f.is_selected);
    if selected().any(|f| f.status == FeatureStatus::Unknown) {
        CheckOutcome::Undecided
    } else if selected().all(|f| f.status == FeatureStatus::Granted) {
        CheckOutcome::Ready
    } else {
        CheckOutcome::Missing
    }
}
