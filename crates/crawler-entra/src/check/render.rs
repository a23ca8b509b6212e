//! A check as text: what is well in a line each, and what to do about the rest.

use std::fmt::Write as _;

use super::{
    CheckOutcome, CheckReport, FeatureReport, FeatureStatus, REQUIREMENTS, feature::Licence,
};
use crate::config::{Cloud, SignInMethod};

/// The report for people.
pub fn render(report: &CheckReport) -> String {
    let mut text = String::new();
    head(&mut text, report);
    let width = report
        .features
        .iter()
        .map(|f| f.title.chars().count())
        .max();
    let width = width.unwrap_or(0);
    for feature in report.features.iter().filter(|f| f.is_selected) {
        line(&mut text, feature, width);
    }
    let others: Vec<&FeatureReport> = report.features.iter().filter(|f| !f.is_selected).collect();
    if !others.is_empty() {
        text.push_str("\nnot selected:\n");
        for feature in others {
            line(&mut text, feature, width);
        }
    }
    advice(&mut text, report);
    text
}

fn head(text: &mut String, report: &CheckReport) {
    let name = report
        .grants
        .display_name
        .as_deref()
        .unwrap_or("application");
    let client_id = report.client_id.as_deref().unwrap_or("of unknown id");
    let _ = writeln!(text, "tenant       {}", report.tenant_id);
    let _ = writeln!(text, "application  {} ({client_id})", printable(name));
    let cloud = match report.cloud {
        Cloud::Global => String::new(),
        other => format!(", cloud {}", other.name()),
    };
    let how = method(report.method);
    let _ = writeln!(text, "signed in    by {how} at {}{cloud}", report.graph);
    let roles = match &report.token.roles {
        None => "cannot be read".to_owned(),
        Some(roles) if roles.is_empty() => "no permission at all".to_owned(),
        Some(roles) => format!("{} permissions", roles.len()),
    };
    let _ = writeln!(text, "token        {roles}");
    let granted = match (&report.grants.assigned, &report.grants.unreadable_because) {
        (Some(assigned), _) => format!("{} permissions", assigned.len()),
        (None, Some(why)) => format!("not known: {why}"),
        (None, None) => "not known".to_owned(),
    };
    let _ = writeln!(text, "granted      {granted}\n");
}

fn method(method: SignInMethod) -> &'static str {
    match method {
        SignInMethod::Secret => "client secret",
        SignInMethod::Certificate => "certificate",
        SignInMethod::Federated => "federated token",
        SignInMethod::Github => "GitHub's token",
        SignInMethod::ManagedIdentity => "managed identity",
    }
}

fn line(text: &mut String, feature: &FeatureReport, width: usize) {
    let detail = feature.detail.as_deref();
    let licence = feature.licence.map_or("a licence", Licence::name);
    let (mark, rest) = match feature.status {
        FeatureStatus::Granted if feature.granted_by.is_empty() => {
            ("ok", detail.unwrap_or("it can be read").to_owned())
        }
        FeatureStatus::Granted => ("ok", feature.granted_by.join(" + ")),
        FeatureStatus::Missing => (
            "MISSING",
            format!("grant {}", feature.missing_permissions.join(" and ")),
        ),
        FeatureStatus::StaleToken => ("STALE", detail.unwrap_or("the token is older").to_owned()),
        FeatureStatus::Unlicensed => ("NO LICENCE", format!("needs {licence}")),
        FeatureStatus::Unavailable => ("ABSENT", "not in this cloud or tenant".to_owned()),
        FeatureStatus::Refused => ("REFUSED", detail.unwrap_or("Graph refuses").to_owned()),
        FeatureStatus::Unknown => ("UNKNOWN", detail.unwrap_or("no answer").to_owned()),
    };
    let _ = writeln!(text, "{mark:<10}  {:<width$}  {rest}", feature.title);
}

/// What to do, in the order in which it helps.
fn advice(text: &mut String, report: &CheckReport) {
    let selected = || report.features.iter().filter(|f| f.is_selected);
    let any = |status| selected().any(|f| f.status == status);
    text.push('\n');
    if report.has_no_roles() {
        text.push_str("The token contains no permission: the sign-in works, but no application permission of Microsoft Graph was granted with an administrator's consent. Delegated permissions do not count.\n");
    }
    let to_grant = report.permissions_to_grant();
    if !to_grant.is_empty() {
        let _ = writeln!(
            text,
            "Grant these application permissions of Microsoft Graph, with an administrator's consent: {}.",
            to_grant.join(", ")
        );
        if report.method == SignInMethod::ManagedIdentity {
            text.push_str("The portal cannot grant them to a managed identity: use Graph (appRoleAssignedTo) or PowerShell.\n");
        }
    }
    if any(FeatureStatus::StaleToken) || !report.grants.not_in_token.is_empty() {
        let wait = match report.method {
            SignInMethod::ManagedIdentity => {
                "the platform keeps a managed identity's token for up to 24 hours, so what was granted now works when that has passed, or after the resource was restarted"
            }
            _ => "wait some minutes and check again",
        };
        let _ = writeln!(
            text,
            "The token is older than the last grant ({}): {wait}.",
            report.grants.not_in_token.join(", ")
        );
    }
    if any(FeatureStatus::Unlicensed) {
        text.push_str(
            "What the tenant has no licence for is left out of a crawl and removes nothing.\n",
        );
    }
    if any(FeatureStatus::Unavailable) {
        text.push_str(
            "What this cloud or tenant does not have is left out of a crawl and removes nothing.\n",
        );
    }
    if !report.grants.can_write.is_empty() {
        let _ = writeln!(
            text,
            "Permissions that allow changes, which a crawl does not need: {}.",
            report.grants.can_write.join(", ")
        );
    }
    let ready = selected()
        .filter(|f| f.status == FeatureStatus::Granted)
        .count();
    let count = selected().count();
    let _ = match report.outcome {
        CheckOutcome::Ready => writeln!(
            text,
            "Ready: everything selected can be read ({count} of {count})."
        ),
        CheckOutcome::Missing => writeln!(
            text,
            "Not everything selected can be read: {ready} of {count}."
        ),
        CheckOutcome::Undecided => writeln!(
            text,
            "Not everything could be found out: {ready} of {count} can be read. Check again later."
        ),
    };
}

/// Names come from the tenant; a terminal must not obey them.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// The table of requirements as Markdown, as `docs/permissions.md` shows it.
pub fn permissions_table() -> String {
    let mut text = String::from(
        "| feature | grant (least privileged) | also enough | licence | read when |\n|---|---|---|---|---|\n",
    );
    for requirement in REQUIREMENTS {
        let code = |name: &str| format!("`{name}`");
        let least: Vec<String> = requirement.least_privileged().map(code).collect();
        let also: Vec<String> = requirement
            .permissions
            .iter()
            .map(|any_of| {
                let names: Vec<String> = any_of.iter().skip(1).map(|name| code(name)).collect();
                if names.is_empty() {
                    "–".to_owned()
                } else {
                    names.join(", ")
                }
            })
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            requirement.title,
            least.join(" and "),
            also.join("; "),
            requirement.licence.map_or("–", Licence::name),
            match requirement.selected_by {
                super::SelectedBy::Always => "always".to_owned(),
                other => format!("`{}`", other.flag().replace(" or ", "` or `")),
            },
        );
    }
    text
}
