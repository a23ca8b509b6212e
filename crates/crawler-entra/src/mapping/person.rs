//! People behind accounts, and the departments that they belong to.

use contract::records::{
    Context, ContextMember, Identity, IdentityMember, Principal, context_type,
};
use uuid::Uuid;

use crate::identity::IdentityKey;

/// The id of the identity of an account: that of the personnel number where accounts with the same one are one person.
pub(crate) fn identity_id(tenant: Uuid, key: IdentityKey, account: &Principal) -> Option<Uuid> {
    let number = account.employee_id.as_deref().map(str::trim);
    let name = match (key, number.filter(|number| !number.is_empty())) {
        (IdentityKey::EmployeeId, Some(number)) => format!("identity:employeeId:{number}"),
        _ => format!("identity:{}", account.id?),
    };
    Some(Uuid::new_v5(&tenant, name.as_bytes()))
}

/// The person behind an account, by what the account tells.
pub(crate) fn identity(id: Uuid, account: &Principal) -> Identity {
    Identity {
        id: Some(id),
        external_id: None,
        display_name: account.display_name.clone(),
        email: account.email.clone(),
        given_name: account.given_name.clone(),
        surname: account.surname.clone(),
        employee_id: account.employee_id.clone(),
        job_title: account.job_title.clone(),
        department: account.department.clone(),
        company_name: account.company_name.clone(),
        primary_principal_id: account.id,
        extended_attributes: None,
    }
}

/// An account of a person.
pub(crate) fn identity_member(
    identity: Uuid,
    account: Uuid,
    account_type: Option<String>,
    is_primary: bool,
) -> IdentityMember {
    IdentityMember {
        identity_id: Some(identity),
        principal_id: Some(account),
        is_primary: Some(is_primary),
        account_type,
        ..IdentityMember::default()
    }
}

/// A department's name without blanks around it; its case is kept.
pub(crate) fn department_name(account: &Principal) -> Option<&str> {
    let name = account.department.as_deref()?.trim();
    (!name.is_empty()).then_some(name)
}

/// The id of a department.
pub(crate) fn department_id(tenant: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&tenant, format!("department:{name}").as_bytes())
}

/// A department as a context whose members are identities or principals.
pub(crate) fn department(id: Uuid, name: &str, member_type: &str) -> Context {
    Context {
        id: Some(id),
        variant: Some("calculated".to_owned()),
        target_type: Some(member_type.to_owned()),
        ..Context::new(context_type::DEPARTMENT, name)
    }
}

/// Somebody in a department.
pub(crate) fn department_member(
    department: Uuid,
    member: Uuid,
    member_type: &str,
) -> ContextMember {
    ContextMember {
        context_id: Some(department),
        member_id: Some(member),
        member_type: member_type.to_owned(),
        context_type: Some(context_type::DEPARTMENT),
        ..ContextMember::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u128, number: Option<&str>) -> Principal {
        Principal {
            id: Some(Uuid::from_u128(id)),
            employee_id: number.map(str::to_owned),
            ..Principal::default()
        }
    }

    #[test]
    fn accounts_of_one_number_are_one_person_only_where_that_is_asked_for() {
        let tenant = Uuid::from_u128(7);
        let id = |key, id, number| identity_id(tenant, key, &account(id, number));
        let by_number = IdentityKey::EmployeeId;
        assert_eq!(
            id(by_number, 1, Some("E-1")),
            id(by_number, 2, Some(" E-1 "))
        );
        assert_ne!(id(by_number, 1, None), id(by_number, 2, None));
        assert_ne!(id(by_number, 1, Some(" ")), id(by_number, 2, Some(" ")));
        let each = IdentityKey::Account;
        assert_ne!(id(each, 1, Some("E-1")), id(each, 2, Some("E-1")));
        assert_ne!(id(each, 1, None), Some(Uuid::from_u128(1)));
    }

    #[test]
    fn a_department_is_trimmed_and_keeps_its_case() {
        let of = |name: &str| {
            let account = Principal {
                department: Some(name.to_owned()),
                ..Principal::default()
            };
            department_name(&account).map(str::to_owned)
        };
        assert_eq!(of("  Sales EMEA ").as_deref(), Some("Sales EMEA"));
        assert_eq!(of("  "), None);
        let tenant = Uuid::from_u128(7);
        assert_ne!(
            department_id(tenant, "Sales"),
            department_id(tenant, "sales")
        );
    }
}
