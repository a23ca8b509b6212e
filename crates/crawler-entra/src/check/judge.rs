//! From what the token says, what was granted and how Graph answered, to one word about a feature. The answer has the last
//! word: permissions change meaning, answers do not.

use super::{
    feature::{Probe, Requirement},
    report::{FeatureReport, FeatureStatus},
};
use crate::graph::GraphError;

/// How Graph answered a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Readable,
    Forbidden {
        code: String,
    },
    Unlicensed {
        code: String,
    },
    Unavailable {
        code: String,
    },
    Failed(String),
    /// There is nothing to ask, or nothing to ask it about.
    NotAsked,
}

impl Answer {
    pub fn of<T>(result: Result<T, GraphError>) -> Self {
        match result {
            Ok(_) => Self::Readable,
            Err(GraphError::Forbidden { code, .. }) => Self::Forbidden { code },
            Err(GraphError::Unlicensed { code }) => Self::Unlicensed { code },
            Err(
                GraphError::NotFound { code }
                | GraphError::Refused {
                    status: 501, code, ..
                },
            ) => Self::Unavailable { code },
            // What Graph says about a path that it does not have.
            Err(GraphError::Refused {
                status: 400, code, ..
            }) if code == "BadRequest" => Self::Unavailable { code },
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// What is known about permissions.
pub(super) struct Known<'a> {
    /// In the token; `None` when it cannot be read.
    pub in_token: Option<&'a [String]>,
    /// Assigned to the service principal; `None` when that cannot be read.
    pub assigned: Option<&'a [String]>,
}

impl Known<'_> {
    fn is_in_token(&self, name: &str) -> bool {
        self.in_token
            .is_some_and(|roles| roles.iter().any(|role| role == name))
    }

    fn is_assigned(&self, name: &str) -> bool {
        self.assigned
            .is_some_and(|roles| roles.iter().any(|role| role == name))
    }
}

/// The word about one feature.
pub(super) fn judge(
    requirement: &Requirement,
    is_selected: bool,
    known: &Known<'_>,
    answer: &Answer,
) -> FeatureReport {
    let groups = requirement.permissions;
    let granted_by: Vec<String> = groups
        .iter()
        .filter_map(|any_of| any_of.iter().find(|name| known.is_in_token(name)))
        .map(|name| (*name).to_owned())
        .collect();
    let lacking: Vec<&[&str]> = groups
        .iter()
        .filter(|any_of| !any_of.iter().any(|name| known.is_in_token(name)))
        .copied()
        .collect();
    let is_stale = !lacking.is_empty()
        && known.in_token.is_some()
        && lacking
            .iter()
            .all(|any_of| any_of.iter().any(|name| known.is_assigned(name)));
    let proves = requirement
        .probe
        .is_some_and(|Probe { is_proof, .. }| is_proof);
    let by_permission = || {
        if lacking.is_empty() {
            FeatureStatus::Granted
        } else if is_stale {
            FeatureStatus::StaleToken
        } else {
            FeatureStatus::Missing
        }
    };
    let status = match answer {
        Answer::Readable if proves => FeatureStatus::Granted,
        // No answer to rely on: the permissions decide, if they are known.
        Answer::Readable | Answer::NotAsked if known.in_token.is_none() => FeatureStatus::Unknown,
        Answer::Forbidden { .. } if lacking.is_empty() => FeatureStatus::Refused,
        Answer::Readable | Answer::NotAsked | Answer::Forbidden { .. } => by_permission(),
        Answer::Unlicensed { .. } => FeatureStatus::Unlicensed,
        Answer::Unavailable { .. } => FeatureStatus::Unavailable,
        Answer::Failed(_) => FeatureStatus::Unknown,
    };
    let is_missing = status == FeatureStatus::Missing;
    FeatureReport {
        feature: requirement.feature,
        title: requirement.title,
        is_selected,
        selected_by: requirement.selected_by.flag(),
        status,
        missing_permissions: if is_missing {
            lacking
                .iter()
                .filter_map(|any_of| any_of.first().copied())
                .collect()
        } else {
            Vec::new()
        },
        detail: detail(requirement, status, answer, &granted_by, &lacking, known),
        granted_by,
        licence: requirement.licence,
    }
}

fn detail(
    requirement: &Requirement,
    status: FeatureStatus,
    answer: &Answer,
    granted_by: &[String],
    lacking: &[&[&str]],
    known: &Known<'_>,
) -> Option<String> {
    match (status, answer) {
        (FeatureStatus::Granted, _) if granted_by.is_empty() => Some(
            "it can be read, by a permission that is not in the list or a directory role"
                .to_owned(),
        ),
        (FeatureStatus::StaleToken, _) => {
            let names: Vec<&str> = lacking
                .iter()
                .filter_map(|any_of| any_of.iter().find(|name| known.is_assigned(name)))
                .copied()
                .collect();
            Some(format!(
                "granted, but not in the token yet: {}",
                names.join(" and ")
            ))
        }
        (FeatureStatus::Refused, Answer::Forbidden { code }) => Some(format!(
            "Graph refuses ({code}) although the token contains {}; a grant takes some minutes to work everywhere{}",
            granted_by.join(" and "),
            next_to_try(requirement, granted_by)
        )),
        (
            FeatureStatus::Unlicensed | FeatureStatus::Unavailable,
            Answer::Unlicensed { code } | Answer::Unavailable { code },
        ) => Some(format!("Graph's code: {code}")),
        (FeatureStatus::Unknown, Answer::Failed(reason)) => Some(reason.clone()),
        (FeatureStatus::Unknown, _) => {
            Some("the token cannot be read, and Graph has no way to ask".to_owned())
        }
        _ => None,
    }
}

/// Microsoft's documents differ about some permissions: the next of the list, when what was granted is not enough.
fn next_to_try(requirement: &Requirement, granted_by: &[String]) -> String {
    let holds = |name: &&str| granted_by.iter().any(|granted| granted == *name);
    let next = requirement.permissions.iter().find_map(|any_of| {
        let mut after = any_of.iter().skip_while(|name| !holds(name)).skip(1);
        after.find(|name| !name.contains("Write"))
    });
    next.map(|name| format!("; if it stays so, grant {name}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{feature::Feature, requirements::REQUIREMENTS},
        *,
    };

    fn judged(
        feature: Feature,
        token: &[&str],
        assigned: &[&str],
        answer: &Answer,
    ) -> FeatureReport {
        let requirement = REQUIREMENTS.iter().find(|r| r.feature == feature);
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (token, assigned) = (owned(token), owned(assigned));
        let known = Known {
            in_token: Some(&token),
            assigned: Some(&assigned),
        };
        judge(requirement.expect("in the table"), true, &known, answer)
    }

    fn forbidden() -> Answer {
        Answer::Forbidden {
            code: "Authorization_RequestDenied".to_owned(),
        }
    }

    #[test]
    fn a_superset_counts_and_is_named() {
        let report = judged(
            Feature::Users,
            &["Directory.Read.All"],
            &[],
            &Answer::Readable,
        );
        assert_eq!(report.status, FeatureStatus::Granted);
        assert_eq!(report.granted_by, ["Directory.Read.All"]);
    }

    #[test]
    fn what_is_missing_is_the_least_privileged_of_each_group_that_is_not_held() {
        let report = judged(
            Feature::SignInActivity,
            &["User.ReadWrite.All"],
            &[],
            &forbidden(),
        );
        assert_eq!(report.status, FeatureStatus::Missing);
        assert_eq!(report.missing_permissions, ["AuditLog.Read.All"]);
        let report = judged(Feature::SignInActivity, &[], &[], &forbidden());
        assert_eq!(
            report.missing_permissions,
            ["AuditLog.Read.All", "User.Read.All"]
        );
    }

    #[test]
    fn a_grant_that_the_token_does_not_know_yet_is_no_missing_one() {
        let report = judged(Feature::Users, &[], &["User.Read.All"], &forbidden());
        assert_eq!(report.status, FeatureStatus::StaleToken);
        assert_eq!(report.missing_permissions, [""; 0]);
        // One of two is not enough.
        let report = judged(
            Feature::SignInActivity,
            &[],
            &["User.Read.All"],
            &forbidden(),
        );
        assert_eq!(report.status, FeatureStatus::Missing);
    }

    #[test]
    fn graph_has_the_last_word() {
        let by_role = judged(Feature::Users, &[], &[], &Answer::Readable);
        assert_eq!(by_role.status, FeatureStatus::Granted);
        let held = &["User.Read.All"];
        let refused = judged(Feature::Users, held, held, &forbidden());
        assert_eq!(refused.status, FeatureStatus::Refused);
        let advice = refused.detail.expect("a word about it");
        assert!(advice.ends_with("grant Directory.Read.All"), "{advice}");
        let failed = judged(
            Feature::Users,
            held,
            held,
            &Answer::Failed("HTTP 500".into()),
        );
        assert_eq!(failed.status, FeatureStatus::Unknown);
    }

    #[test]
    fn an_answer_that_hides_what_is_forbidden_proves_nothing() {
        let report = judged(
            Feature::CustomSecurityAttributes,
            &["User.Read.All"],
            &[],
            &Answer::Readable,
        );
        assert_eq!(report.status, FeatureStatus::Missing);
        let report = judged(
            Feature::HiddenMembers,
            &["Group.Read.All"],
            &[],
            &Answer::NotAsked,
        );
        assert_eq!(report.missing_permissions, ["Member.Read.Hidden"]);
    }
}
