//! `cadastre attributes`: what sources send beside the core fields, which of it has columns, and which core fields have
//! indexes on request; over a server's API.

use clap::{Args, Subcommand};
use contract::{
    AttributeInfo, AttributePage, Entity, Promote, Promotion, PromotionPage, PromotionState,
    SystemId, ValueType,
};
use reqwest::Method;

use crate::{
    ask::{Questions, ServerArgs},
    text::{clean, number, show, table},
};

/// What to do with attributes.
#[derive(Debug, Subcommand)]
pub enum AttributesCommand {
    /// List the attributes that a system sends
    List(ListArgs),
    /// Give an attribute a column of its own, or a core field an index
    Promote(PromoteArgs),
    /// Take an attribute's column, or a core field's index, back; the values stay
    Demote(DemoteArgs),
}

/// Flags of `attributes list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The system
    #[arg(long = "system")]
    system_id: SystemId,
    /// What kind of row: principals, resources, …
    #[arg(long, default_value = "principals")]
    entity: Entity,
}

/// Flags of `attributes promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// What kind of row: principals, resources, …
    #[arg(long, default_value = "principals")]
    entity: Entity,
    /// The column's type: text, number, boolean, timestamp [default: what fits the values that were seen]
    #[arg(long = "type", value_parser = value_type, conflicts_with = "field")]
    value_type: Option<ValueType>,
    #[command(flatten)]
    what: What,
}

/// Flags of `attributes demote`.
#[derive(Debug, Args)]
pub struct DemoteArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// What kind of row: principals, resources, …
    #[arg(long, default_value = "principals")]
    entity: Entity,
    #[command(flatten)]
    what: What,
}

/// What is promoted.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct What {
    /// The attribute's name, exactly as it is sent
    attribute: Option<String>,
    /// A core field, such as createdDateTime, in place of an attribute
    #[arg(long)]
    field: Option<String>,
}

impl What {
    fn is(&self, promotion: &Promotion) -> bool {
        self.attribute == promotion.attribute && self.field == promotion.field
    }

    /// Its name, for people.
    fn name(&self) -> String {
        let name = self.attribute.as_deref().or(self.field.as_deref());
        // There is always one of them.
        clean(name.unwrap_or("-"), 80)
    }
}

fn value_type(text: &str) -> Result<ValueType, String> {
    ValueType::ALL
        .into_iter()
        .find(|kind| kind.wire_name() == text)
        .ok_or_else(|| {
            format!(
                "known are: {}",
                ValueType::ALL.map(ValueType::wire_name).join(", ")
            )
        })
}

/// Runs an `attributes` command.
pub async fn run(command: AttributesCommand) -> anyhow::Result<()> {
    match command {
        AttributesCommand::List(args) => list(args).await,
        AttributesCommand::Promote(args) => promote(args).await,
        AttributesCommand::Demote(args) => demote(args).await,
    }
}

async fn list(args: ListArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.server)?;
    let system = args.system_id.to_string();
    let mut after: Option<String> = None;
    let mut items = Vec::new();
    let (too_many, names_too_long) = loop {
        let mut query = vec![
            ("systemId", system.as_str()),
            ("entity", args.entity.wire_name()),
            ("limit", "1000"),
        ];
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page: AttributePage = server.get("attributes", &query).await?;
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            break (page.too_many, page.names_too_long);
        }
    };
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    let head = [
        "Attribute",
        "Types",
        "Rows",
        "Last seen",
        "Column",
        "Do not fit",
    ];
    let mut text = table(&head, &rows);
    if too_many {
        text +=
            "\nThere were more names than are catalogued; their values are kept with their rows.\n";
    }
    if names_too_long {
        text +=
            "\nSome names are too long to be catalogued; their values are kept with their rows.\n";
    }
    show(&text)?;
    Ok(())
}

fn row(item: &AttributeInfo) -> Vec<String> {
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), number);
    let types: Vec<_> = item
        .json_types
        .iter()
        .map(|kind| kind.wire_name())
        .collect();
    vec![
        clean(&item.attribute, 48),
        types.join(","),
        count(item.rows_total),
        item.last_seen_at.format("%Y-%m-%d").to_string(),
        item.promotion.as_ref().map_or_else(
            || "-".to_owned(),
            |column| {
                format!(
                    "{}, {}",
                    column.value_type.wire_name(),
                    column.state.wire_name()
                )
            },
        ),
        count(item.mismatches),
    ]
}

async fn promote(args: PromoteArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.server)?;
    let name = args.what.name();
    let wanted = Promote {
        entity: args.entity,
        attribute: args.what.attribute,
        field: args.what.field,
        value_type: args.value_type,
    };
    let promotion: Promotion = server
        .send(Method::POST, "attributes/promotions", Some(&wanted))
        .await?;
    let gets = match promotion.value_type {
        Some(kind) => format!("the column {} ({})", promotion.column, kind.wire_name()),
        None => "an index".to_owned(),
    };
    show(&format!(
        "'{name}' of {} gets {gets}; it is {}. Promotion {}.\n",
        promotion.entity,
        promotion.state.wire_name(),
        promotion.promotion_id,
    ))?;
    Ok(())
}

async fn demote(args: DemoteArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.server)?;
    let promotion = find(&server, args.entity, &args.what).await?;
    let path = format!("attributes/promotions/{}/demote", promotion.promotion_id);
    let promotion: Promotion = server.send(Method::POST, &path, None::<&()>).await?;
    let is_gone = matches!(
        promotion.state,
        PromotionState::Demoting | PromotionState::Emptying | PromotionState::Demoted
    );
    let end = match (is_gone, &promotion.field) {
        (false, _) => "another workspace wants it too, so it stays",
        (true, None) => "the column is emptied in the background; the attribute keeps its values",
        (true, Some(_)) => "the index goes in the background; the field keeps its values",
    };
    show(&format!("'{}': {end}.\n", args.what.name()))?;
    Ok(())
}

/// The promotion of what has a column or an index, or is about to have one.
async fn find(server: &Questions, entity: Entity, what: &What) -> anyhow::Result<Promotion> {
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("entity", entity.wire_name()), ("limit", "1000")];
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page: PromotionPage = server.get("attributes/promotions", &query).await?;
        let is_it = |one: &Promotion| {
            what.is(one)
                && matches!(
                    one.state,
                    PromotionState::Waiting
                        | PromotionState::Backfilling
                        | PromotionState::Indexing
                        | PromotionState::Ready
                )
        };
        if let Some(found) = page.items.into_iter().find(is_it) {
            return Ok(found);
        }
        match page.next {
            Some(next) => after = Some(next.to_string()),
            None => anyhow::bail!(
                "'{}' of {entity} has no column and no index on request",
                what.name()
            ),
        }
    }
}
