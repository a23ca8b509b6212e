//! Accounts: who signed in, and which principal of the register they are.

use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::{
    id_token::Claims,
    settings::{Link, LinkColumn, ProviderSettings},
};

/// The issuer of accounts without a provider.
pub const LOCAL: &str = "local";

/// The account of somebody who signed in.
#[derive(Debug, Clone)]
pub struct Account {
    /// The account.
    pub account_id: Uuid,
    /// Its workspace.
    pub workspace_id: i32,
    /// The person's name.
    pub display_name: String,
}

/// What leads from an account to a principal.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    directory_id: Option<String>,
    system_id: Option<i32>,
    principal_id: Option<Uuid>,
    link_column: Option<&'static str>,
    link_value: Option<String>,
}

/// Finds or makes the account that a token names, by issuer and subject alone, and brings it up to date.
pub async fn signed_in(
    connection: &mut PgConnection,
    provider: &ProviderSettings,
    subject: &str,
    claims: &Claims,
) -> Result<Account, sqlx::Error> {
    let way = way(connection, &provider.link, claims).await?;
    let name = claims
        .text("name")
        .or_else(|| claims.text("preferred_username"))
        .unwrap_or(subject);
    let row = sqlx::query(
        "insert into accounts as a (workspace_id, issuer, subject, display_name, directory_id, system_id, principal_id, \
         link_column, link_value) \
         values ((select min(workspace_id) from workspaces), $1, $2, left($3, 200), $4, $5, $6, $7, $8) \
         on conflict (issuer, subject) do update set display_name = excluded.display_name, \
         directory_id = excluded.directory_id, system_id = excluded.system_id, principal_id = excluded.principal_id, \
         link_column = excluded.link_column, link_value = excluded.link_value, last_sign_in_at = now() \
         returning account_id, workspace_id, display_name",
    )
    .bind(&provider.issuer)
    .bind(subject)
    .bind(name)
    .bind(&way.directory_id)
    .bind(way.system_id)
    .bind(way.principal_id)
    .bind(way.link_column)
    .bind(&way.link_value)
    .fetch_one(connection)
    .await?;
    Ok(Account {
        account_id: row.try_get("account_id")?,
        workspace_id: row.try_get("workspace_id")?,
        display_name: row.try_get("display_name")?,
    })
}

/// What the claims say about the principal; nothing where they say nothing that counts.
async fn way(
    connection: &mut PgConnection,
    link: &Link,
    claims: &Claims,
) -> Result<Way, sqlx::Error> {
    match link {
        Link::None => Ok(Way::default()),
        Link::Directory => {
            let (tenant, id) = (claims.text("tid"), claims.text("oid"));
            let principal_id = id.and_then(|id| Uuid::parse_str(id).ok());
            Ok(match (tenant, principal_id) {
                (Some(tenant), Some(principal_id)) => Way {
                    directory_id: Some(tenant.to_ascii_lowercase()),
                    principal_id: Some(principal_id),
                    ..Way::default()
                },
                _ => Way::default(),
            })
        }
        Link::Claim {
            claim,
            column,
            system_id,
        } => {
            let Some(value) = claims.text(claim) else {
                return Ok(Way::default());
            };
            // A mail address that nobody verified is anybody's.
            let is_mail = *column == LinkColumn::Email || claim == "email";
            if is_mail && !claims.has_verified_email() {
                return Ok(Way::default());
            }
            let found: Vec<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
                "select id from principals where system_id = $1 and {}::text = $2 and deleted_at is null limit 2",
                column.name()
            )))
            .bind(system_id)
            .bind(value)
            .fetch_all(connection)
            .await?;
            // Two of them are none: it cannot be told who it is.
            let [principal_id] = found[..] else {
                return Ok(Way::default());
            };
            Ok(Way {
                system_id: Some(*system_id),
                principal_id: Some(principal_id),
                link_column: Some(column.name()),
                link_value: Some(value.to_owned()),
                ..Way::default()
            })
        }
    }
}
