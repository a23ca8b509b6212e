//! A report as the register's API tells it.

use contract::{FeatureCheck, PermissionCheck};
use serde::Serialize;

use super::{CheckReport, FeatureReport};

fn owned(texts: &[&'static str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The name of something that is told as one word.
fn word<T: Serialize + std::fmt::Debug>(one: &T) -> String {
    match serde_json::to_value(one) {
        Ok(serde_json::Value::String(word)) => word,
        _ => format!("{one:?}"),
    }
}

impl From<&FeatureReport> for FeatureCheck {
    fn from(report: &FeatureReport) -> Self {
        Self {
            feature: word(&report.feature),
            title: report.title.to_owned(),
            is_selected: report.is_selected,
            selected_by: report.selected_by.clone(),
            status: report.status,
            granted_by: report.granted_by.clone(),
            missing_permissions: owned(&report.missing_permissions),
            licence: report.licence.map(|licence| licence.name().to_owned()),
            detail: report.detail.clone(),
        }
    }
}

impl From<&CheckReport> for PermissionCheck {
    fn from(report: &CheckReport) -> Self {
        Self {
            outcome: report.outcome,
            tenant_id: report.tenant_id.clone(),
            client_id: report.client_id.clone(),
            cloud: word(&report.cloud),
            graph: report.graph.clone(),
            method: word(&report.method),
            token_roles: report.token.roles.clone(),
            grants: report.grants.clone(),
            permissions_to_grant: owned(&report.permissions_to_grant()),
            features: report.features.iter().map(FeatureCheck::from).collect(),
        }
    }
}
