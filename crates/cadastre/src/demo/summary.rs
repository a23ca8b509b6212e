//! What the demo shows once the tenant is in the register.

use secrecy::SecretString;
use serde::Deserialize;
use views::{HeldRole, PrivilegedPrincipal, Totals};

use super::export_line;
use crate::{
    ask::{Questions, render_path},
    text::{clean, number, table},
};

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

/// Prints totals and the three most privileged principals with the path that makes them so.
pub async fn print(questions: &Questions) -> anyhow::Result<()> {
    let totals: Totals = questions.get("totals", &[("count", "exact")]).await?;
    println!("The register holds:\n{}", render_totals(&totals));
    let privileged: Items<PrivilegedPrincipal> = questions
        .get("access/privileged", &[("limit", "3")])
        .await?;
    println!("The three most privileged principals, and the path that makes them so:");
    for (place, principal) in privileged.items.iter().enumerate() {
        println!("\n{}", headline(place + 1, principal));
        if let Some(role) = principal.roles.first() {
            print_path(questions, principal, role).await?;
        }
    }
    println!();
    Ok(())
}

fn render_totals(totals: &Totals) -> String {
    let rows = [
        ("systems", "systems", Some(totals.systems)),
        ("principals", "principals", Some(totals.principals)),
        ("resources", "resources", Some(totals.resources)),
        (
            "resource assignments",
            "resourceAssignments",
            Some(totals.resource_assignments),
        ),
        ("contexts", "contexts", Some(totals.contexts)),
        (
            "context members",
            "contextMembers",
            Some(totals.context_members),
        ),
        (
            "sign-ins",
            "principalActivity",
            Some(totals.principal_activity),
        ),
        (
            "effective access (groups resolved)",
            "effectiveAccess",
            totals.effective_access,
        ),
    ];
    let rows = rows.map(|(what, name, count)| {
        let is_estimated = totals.estimated.iter().any(|known| known == name);
        let about = if is_estimated { "about " } else { "" };
        let count = count.map_or_else(
            || "not counted".to_owned(),
            |count| format!("{about}{}", number(count.unsigned_abs())),
        );
        vec![what.to_owned(), format!("{count:>12}")]
    });
    table(&["What", "        Rows"], &rows)
}

fn headline(place: usize, principal: &PrivilegedPrincipal) -> String {
    let name = principal.principal_name.as_ref().map_or_else(
        || principal.principal_id.to_string(),
        |name| clean(name, 50),
    );
    let mut facts = vec![
        principal
            .principal_type
            .clone()
            .unwrap_or_else(|| "?".to_owned()),
    ];
    facts.extend(
        principal
            .user_principal_name
            .as_deref()
            .map(|name| clean(name, 60)),
    );
    if principal.account_enabled == Some(false) {
        facts.push("disabled".to_owned());
    }
    format!(
        "#{place} {name} ({}): {} active and {} eligible roles, score {}",
        facts.join(", "),
        principal.active_roles,
        principal.eligible_roles,
        principal.score
    )
}

/// The path of the weightiest role: the one that has its state and scope, else the shortest.
async fn print_path(
    questions: &Questions,
    principal: &PrivilegedPrincipal,
    role: &HeldRole,
) -> anyhow::Result<()> {
    let explanation = questions
        .explain(
            principal.system_id,
            principal.principal_id,
            role.role_id,
            None,
        )
        .await?;
    let fits = |path: &&views::AccessPath| {
        path.access_state == role.access_state && path.role_scope == role.role_scope
    };
    let path = explanation
        .paths
        .iter()
        .find(fits)
        .or(explanation.paths.first());
    if let Some(path) = path {
        print!("{}", render_path(path).trim_start_matches('\n'));
    }
    let others = principal.roles.len() - 1;
    if others > 0 {
        let names: Vec<String> = principal
            .roles
            .iter()
            .skip(1)
            .take(3)
            .map(|role| clean(role.name.as_deref().unwrap_or("?"), 40))
            .collect();
        let more = if others > names.len() { ", …" } else { "" };
        println!("   and {others} more: {}{more}", names.join(", "));
    }
    Ok(())
}

/// Prints where to go next, while the demo keeps running.
pub fn print_next_steps(base_url: &str, key: &SecretString) {
    println!("\nThe register keeps running at {base_url} until Ctrl-C. In another terminal:\n");
    println!(
        "  export CADASTRE_API_BASE_URL={base_url}\n  {}",
        export_line(key)
    );
    println!("  cargo run -p cadastre -- who 'Global Administrator'");
    println!(
        "  curl -H \"Authorization: Bearer $CADASTRE_API_KEY\" \"$CADASTRE_API_BASE_URL/api/access/privileged?limit=3\""
    );
    println!(
        "\nThe key reads and works for a day. What to ask next: docs/views.md, docs/ingest-api.md"
    );
}
