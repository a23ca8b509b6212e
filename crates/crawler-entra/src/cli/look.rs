//! The commands that look at a tenant and send nothing: `identities --preview` and `attributes`.

use std::{fmt::Write as _, io::Write as _, sync::Arc};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::display::{Display, ProgressForm};
use crate::{
    AttributesFound, CrawlConfig, IdentityPreview, InspectError, UserSample, discover_attributes,
    preview_identities,
};

/// What to do instead of a crawl.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    /// Which users become identities.
    Identities,
    /// Which custom attributes there are, among so many users.
    Attributes { sample: usize },
}

/// Looks, and writes what it saw.
pub(super) async fn look(
    look: Look,
    config: CrawlConfig,
    display: Arc<Display>,
    form: ProgressForm,
) -> Result<(), String> {
    let cancel = CancellationToken::new();
    let said = |error: InspectError| error.to_string();
    let text = match look {
        Look::Identities => {
            let filter = config.identity_filter.clone().ok_or(
                "there is no identity filter: give --identity-filter, or IdentityFilter in the file",
            )?;
            let preview = preview_identities(config, &filter, display.clone(), cancel);
            let preview = preview.await.map_err(said)?;
            shown(&preview, form, preview_text)?
        }
        Look::Attributes { sample } => {
            let found = discover_attributes(config, sample, display.clone(), cancel);
            let found = found.await.map_err(said)?;
            shown(&found, form, attributes_text)?
        }
    };
    display.finish();
    // A reader that went away is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// JSON where that was asked for, else text.
fn shown<T: Serialize>(
    value: &T,
    form: ProgressForm,
    text: fn(&T) -> String,
) -> Result<String, String> {
    match form {
        ProgressForm::Json => serde_json::to_string(value)
            .map(|json| json + "\n")
            .map_err(|error| error.to_string()),
        _ => Ok(text(value)),
    }
}

fn preview_text(preview: &IdentityPreview) -> String {
    let mut text = format!(
        "{} of {} users become {} identities\n",
        preview.matching, preview.users, preview.identities
    );
    for (title, samples) in [
        ("such as", &preview.matching_samples),
        ("but not", &preview.other_samples),
    ] {
        for UserSample {
            display_name,
            user_principal_name,
            ..
        } in samples
        {
            let sign_in = user_principal_name.as_deref().unwrap_or("-");
            let _ = writeln!(
                text,
                "  {title} {} ({})",
                plain(display_name),
                plain(sign_in)
            );
        }
    }
    text
}

fn attributes_text(found: &AttributesFound) -> String {
    let mut text = format!("{} users were looked at\n", found.sampled);
    for one in &found.attributes {
        let filled = match &one.unreadable {
            Some(reason) => format!("not readable: {reason}"),
            None if found.sampled == 0 => "-".to_owned(),
            None => format!("{} %", one.filled * 100 / found.sampled),
        };
        let _ = writeln!(
            text,
            "{:<60} {:<20} {:<10} {filled}  {}",
            plain(&one.name),
            format!("{:?}", one.kind),
            one.value_type,
            plain(&one.samples.join(" | "))
        );
    }
    for gap in &found.gaps {
        let _ = writeln!(text, "{}", plain(gap));
    }
    text
}

/// What a tenant wrote must not steer a terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
