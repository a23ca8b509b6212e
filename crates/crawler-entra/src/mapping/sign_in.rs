//! Sign-in activity.

use contract::{
    TypeName,
    records::{PrincipalActivity, activity_type},
};
use serde_json::Value;

use super::Object;

/// What is asked for.
pub(crate) const SIGN_IN_PROPERTIES: &[&str] = &["id", "signInActivity"];

/// The kinds of activity, with Graph's property for their moment.
pub(crate) const SIGN_IN_KINDS: [(TypeName, &str); 3] = [
    (activity_type::SIGN_IN, "lastSignInDateTime"),
    (
        activity_type::NON_INTERACTIVE_SIGN_IN,
        "lastNonInteractiveSignInDateTime",
    ),
    (
        activity_type::SUCCESSFUL_SIGN_IN,
        "lastSuccessfulSignInDateTime",
    ),
];

/// The activity of a user, of each kind that Graph knows a moment of. `None` when Graph sent no usable object.
pub(crate) fn sign_ins(value: Value) -> Option<[Option<PrincipalActivity>; 3]> {
    let (id, mut user) = Object::read(value)?;
    let mut activity = user.nested("signInActivity");
    Some(SIGN_IN_KINDS.map(|(kind, moment)| {
        let at = activity.as_mut()?.date(moment)?;
        Some(PrincipalActivity {
            principal_id: Some(id),
            last_activity_date_time: Some(at),
            ..PrincipalActivity::new(kind)
        })
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_with_a_moment_is_a_row_and_never_is_none() {
        let rows = sign_ins(json!({
            "id": "1B9F2C74-6A0D-4F3E-8C15-90D2A7E4B611",
            "signInActivity": {"lastSignInDateTime": "2026-01-02T03:04:05Z", "lastSignInRequestId": "r",
                "lastNonInteractiveSignInDateTime": "0001-01-01T00:00:00Z", "lastSuccessfulSignInDateTime": null}
        }))
        .expect("a user");
        let kinds: Vec<Option<&str>> = rows
            .iter()
            .map(|row| row.as_ref().map(|row| row.activity_type.as_str()))
            .collect();
        assert_eq!(kinds, [Some("SignIn"), None, None]);
        let row = rows.into_iter().flatten().next().expect("a row");
        let id = row.principal_id.map(|id| id.to_string());
        assert_eq!(id.as_deref(), Some("1b9f2c74-6a0d-4f3e-8c15-90d2a7e4b611"));
        // The request's id changes with every sign-in and leads nowhere after 30 days.
        assert_eq!(row.extended_attributes, None);
    }

    #[test]
    fn a_user_without_activity_is_readable_and_one_without_an_id_is_not() {
        let never = json!({"id": "1b9f2c74-6a0d-4f3e-8c15-90d2a7e4b611", "signInActivity": null});
        assert_eq!(sign_ins(never), Some([None, None, None]));
        assert_eq!(sign_ins(json!({"signInActivity": null})), None);
    }
}
