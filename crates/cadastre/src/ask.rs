//! `cadastre who` and `cadastre why`: first questions to a running server, over its API.

use anyhow::{Context, bail, ensure};
use clap::Args;
use contract::Problem;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;
use uuid::Uuid;
use views::{AccessPath, Explanation, FoundPrincipal, FoundResource, Holder, Page, Step};

use crate::text::{clean, number, show, table};

/// The server and the key for it.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// The server
    #[arg(
        long,
        env = "CADASTRE_API_BASE_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    api_base_url: Url,
    /// A key with the permission that the command needs: 'read'; to change columns, 'schema'; to start and cancel runs and to configure crawlers, 'admin'
    #[arg(long, env = "CADASTRE_API_KEY", hide_env_values = true)]
    api_key: SecretString,
}

/// Flags of `who`.
#[derive(Debug, Args)]
pub struct WhoArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The resource: its name, the beginning of it, or its id
    resource: String,
    /// Most rows to show
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// As it was at this instant, such as 2026-01-31T08:00:00Z; now if not said
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
}

/// Flags of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The principal: its name, sign-in name or id
    principal: String,
    /// The resource: its name, the beginning of it, or its id
    resource: String,
    /// As it was at this instant, such as 2026-01-31T08:00:00Z; now if not said
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
}

/// Asks a running server.
pub struct Questions {
    http: reqwest::Client,
    base: Url,
    key: SecretString,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

impl Questions {
    /// Questions to a server; its address may or may not end in `/api`.
    pub fn new(base_url: &Url, key: SecretString) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let text = base_url
            .as_str()
            .trim_end_matches('/')
            .trim_end_matches("/api");
        let base = Url::parse(&format!("{text}/api/")).context("the server's address")?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, base, key })
    }

    /// Questions to the server that flags and environment name.
    pub fn of(server: ServerArgs) -> anyhow::Result<Self> {
        Self::new(&server.api_base_url, server.api_key)
    }

    /// `GET` of a path under `/api/`.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<T> {
        let url = self.base.join(path)?;
        self.answer(self.http.get(url).query(query)).await
    }

    /// Any other call of a path under `/api/`.
    pub async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&B>,
    ) -> anyhow::Result<T> {
        let mut request = self.http.request(method, self.base.join(path)?);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(request).await
    }

    /// `DELETE` of a path under `/api/`, which answers nothing.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.asked(self.http.delete(self.base.join(path)?)).await?;
        Ok(())
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> anyhow::Result<T> {
        let answered = self.asked(request).await?.json().await;
        answered.context("the server's answer cannot be read")
    }

    async fn asked(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let sent = request.bearer_auth(self.key.expose_secret()).send().await;
        let response = sent.with_context(|| format!("no answer from {}", self.base))?;
        if !response.status().is_success() {
            let status = response.status();
            match response.json::<Problem>().await {
                Ok(problem) => bail!("{problem}"),
                Err(_) => bail!("the server answered {status}"),
            }
        }
        Ok(response)
    }

    async fn resource(&self, text: &str) -> anyhow::Result<FoundResource> {
        let found: Items<FoundResource> = self
            .get("resources", &[("search", text), ("limit", "6")])
            .await?;
        one_of("resource", text, found.items, |one| Look {
            name: &one.display_name,
            id: one.id,
            what: one.resource_type.clone(),
        })
    }

    async fn principal(&self, text: &str) -> anyhow::Result<FoundPrincipal> {
        let found: Items<FoundPrincipal> = self
            .get("principals", &[("search", text), ("limit", "6")])
            .await?;
        one_of("principal", text, found.items, |one| Look {
            name: &one.display_name,
            id: one.id,
            what: one
                .user_principal_name
                .clone()
                .unwrap_or_else(|| one.principal_type.clone()),
        })
    }

    /// Why a principal has access to a resource, or had it at an instant.
    pub async fn explain(
        &self,
        system_id: i32,
        principal: Uuid,
        resource: Uuid,
        as_of: Option<&str>,
    ) -> anyhow::Result<Explanation> {
        let (system, principal, resource) = (
            system_id.to_string(),
            principal.to_string(),
            resource.to_string(),
        );
        let mut query = vec![
            ("systemId", system.as_str()),
            ("principalId", &principal),
            ("resourceId", &resource),
        ];
        query.extend(as_of.map(|instant| ("asOf", instant)));
        self.get("access/explain", &query).await
    }
}

/// What a found thing looks like to a person who has to choose.
struct Look<'a> {
    name: &'a str,
    id: Uuid,
    what: String,
}

/// The one that is meant: the only one found, or the only one with exactly this name.
fn one_of<T>(
    kind: &str,
    text: &str,
    mut found: Vec<T>,
    look: impl Fn(&T) -> Look<'_>,
) -> anyhow::Result<T> {
    ensure!(!found.is_empty(), "no {kind} is called '{text}'");
    let is_exact = |one: &T| look(one).name.to_lowercase() == text.to_lowercase();
    let exact: Vec<usize> = (0..found.len()).filter(|n| is_exact(&found[*n])).collect();
    match (found.len(), exact.as_slice()) {
        (1, _) => Ok(found.remove(0)),
        (_, [only]) => Ok(found.remove(*only)),
        _ => {
            let shown: Vec<String> = found
                .iter()
                .take(5)
                .map(look)
                .map(|look| {
                    format!(
                        "  {}  {} ({})",
                        look.id,
                        clean(look.name, 60),
                        clean(&look.what, 80)
                    )
                })
                .collect();
            bail!(
                "several {kind}s fit '{text}'; name one by its id:\n{}",
                shown.join("\n")
            )
        }
    }
}

/// Prints who has access to a resource.
pub async fn who(args: WhoArgs) -> anyhow::Result<()> {
    let questions = Questions::new(&args.server.api_base_url, args.server.api_key)?;
    let resource = questions.resource(&args.resource).await?;
    let path = format!(
        "systems/{}/resources/{}/access",
        resource.system_id, resource.id
    );
    let limit = args.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(args.as_of.as_deref().map(|instant| ("asOf", instant)));
    let page: Page<Holder> = questions.get(&path, &query).await?;
    let more = if page.next.is_some() {
        ", and there are more (--limit)"
    } else {
        ""
    };
    show(&format!(
        "{} ({}){}\n\n{}\n{} rows{more}\n",
        clean(&resource.display_name, 80),
        resource.resource_type,
        instant(args.as_of.as_deref()),
        holders(&page.items),
        number(page.items.len() as u64),
    ))?;
    Ok(())
}

fn instant(as_of: Option<&str>) -> String {
    as_of.map_or_else(String::new, |instant| format!(", as of {instant}"))
}

fn holders(holders: &[Holder]) -> String {
    let rows = holders.iter().map(|holder| {
        let access = &holder.access;
        let via = match (&access.via_name, access.via_id) {
            (Some(name), _) => clean(name, 40),
            (None, Some(id)) => id.to_string(),
            (None, None) => "itself".to_owned(),
        };
        vec![
            name_or_id(holder.principal_name.as_ref(), holder.principal_id),
            holder
                .user_principal_name
                .as_deref()
                .map_or_else(|| "-".to_owned(), |name| clean(name, 48)),
            holder
                .principal_type
                .clone()
                .unwrap_or_else(|| "?".to_owned()),
            access.assignment_type.clone(),
            access.role_scope.clone(),
            via,
        ]
    });
    table(
        &[
            "Principal",
            "Signs in as",
            "Type",
            "Access",
            "Scope",
            "Through",
        ],
        &rows.collect::<Vec<_>>(),
    )
}

fn name_or_id(name: Option<&String>, id: Uuid) -> String {
    name.map_or_else(|| id.to_string(), |name| clean(name, 40))
}

/// Prints why a principal has access to a resource.
pub async fn why(args: WhyArgs) -> anyhow::Result<()> {
    let questions = Questions::new(&args.server.api_base_url, args.server.api_key)?;
    let principal = questions.principal(&args.principal).await?;
    let resource = questions.resource(&args.resource).await?;
    ensure!(
        principal.system_id == resource.system_id,
        "the principal is in system {}, the resource in system {}",
        principal.system_id,
        resource.system_id
    );
    let explanation = questions
        .explain(
            principal.system_id,
            principal.id,
            resource.id,
            args.as_of.as_deref(),
        )
        .await?;
    let when = args
        .as_of
        .map_or_else(String::new, |instant| format!("As of {instant}:\n"));
    show(&format!("{when}{}", render(&explanation)))?;
    Ok(())
}

/// An explanation as text.
pub fn render(explanation: &Explanation) -> String {
    let principal = name_or_id(
        explanation.principal_name.as_ref(),
        explanation.principal_id,
    );
    let resource = name_or_id(explanation.resource_name.as_ref(), explanation.resource_id);
    if explanation.paths.is_empty() {
        return format!("{principal} has no access to {resource}.\n");
    }
    let many = if explanation.paths.len() == 1 {
        "one way"
    } else {
        "several ways"
    };
    let mut text = format!("{principal} has access to {resource}, in {many}:\n");
    for path in &explanation.paths {
        text.push_str(&render_path(path));
    }
    if explanation.is_truncated {
        text.push_str("\nThere are more ways than are shown.\n");
    }
    text
}

/// One way from a principal to a resource as text.
pub fn render_path(path: &AccessPath) -> String {
    let mut lines = vec![
        String::new(),
        format!(
            "{}. {}, scope {}",
            path.path_number, path.access_state, path.role_scope
        ),
    ];
    for (depth, step) in path.steps.iter().enumerate() {
        let indent = "   ".repeat(depth + 1);
        if depth == 0 {
            lines.push(format!(
                "{indent}{}",
                name_or_id(step.from_name.as_ref(), step.from_id)
            ));
        }
        lines.push(format!("{indent}└─ {}", render_step(step)));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn render_step(step: &Step) -> String {
    let mut facts = vec![step.to_type.clone().unwrap_or_else(|| "?".to_owned())];
    // Memberships carry no date in Entra: then all that is known is when the register first saw them.
    facts.push(match step.since {
        Some(at) => format!("since {}", at.format("%Y-%m-%d")),
        None => format!("first seen {}", step.first_seen_at.format("%Y-%m-%d")),
    });
    facts.extend(
        step.expires
            .map(|at| format!("until {}", at.format("%Y-%m-%d"))),
    );
    format!(
        "{} {} ({})",
        relation_words(step),
        name_or_id(step.to_name.as_ref(), step.to_id),
        facts.join(", "),
    )
}

/// What a step means, in words.
fn relation_words(step: &Step) -> &str {
    let is_group = step.to_type.as_deref() == Some("EntraGroup");
    match (step.relation.as_str(), is_group) {
        ("Direct", true) => "is in",
        ("Direct", false) => "holds",
        ("Eligible", true) => "can join",
        ("Eligible", false) => "can activate",
        ("Owner", _) => "owns",
        ("Governed", _) => "was granted",
        ("Contains", _) => "contains",
        (other, _) => other,
    }
}
