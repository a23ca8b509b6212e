//! Jobs that only look at a source: what could be read, which attributes there are, what the identity filter does.

use std::sync::Arc;

use contract::{JobKind, JobResult, MAX_RESULT_BYTES, PermissionCheck};
use crawler_entra::{CrawlConfig, ProgressSink, check, discover_attributes, preview_identities};
use tokio_util::sync::CancellationToken;

/// Somebody waits for the answer: a question that fails is not asked for minutes.
const TRIES: u32 = 3;
/// Users whose attributes are looked at: a page of them.
const SAMPLE: usize = 999;

/// What was found out, or why not, for people.
pub async fn look(
    kind: JobKind,
    mut config: CrawlConfig,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
) -> Result<JobResult, String> {
    config.tuning.max_tries = TRIES;
    match kind {
        JobKind::Crawl => Err("a crawl is more than a look".to_owned()),
        JobKind::Check => {
            let checking = check(&config);
            // Only HTTP: nothing is left half-done when it is dropped.
            let report = tokio::select! {
                () = cancel.cancelled() => return Err("the check was ended".to_owned()),
                report = checking => report.map_err(|error| error.to_string())?,
            };
            Ok(JobResult::Check(Box::new(PermissionCheck::from(&report))))
        }
        JobKind::Discover => {
            let found = discover_attributes(config, SAMPLE, progress, cancel);
            let mut found = found.await.map_err(|error| error.to_string())?;
            let left_out = shorten(&mut found.attributes, MAX_RESULT_BYTES - ROOM);
            if left_out > 0 {
                found
                    .gaps
                    .push(format!("{left_out} further attributes are not shown"));
            }
            Ok(JobResult::Discover(found))
        }
        JobKind::Preview => {
            let filter = config
                .identity_filter
                .clone()
                .ok_or("the crawler has no identity filter (identityFilter)")?;
            let preview = preview_identities(config, &filter, progress, cancel);
            let preview = preview.await.map_err(|error| error.to_string())?;
            Ok(JobResult::Preview(preview))
        }
    }
}

/// For what else is in the result.
const ROOM: usize = 16 * 1024;

/// Leaves out what does not fit, from the end; answers how many.
fn shorten<T: serde::Serialize>(items: &mut Vec<T>, most_bytes: usize) -> usize {
    let mut bytes = 0;
    let fit = items
        .iter()
        .take_while(|item| {
            bytes += serde_json::to_string(item).map_or(most_bytes, |text| text.len()) + 1;
            bytes <= most_bytes
        })
        .count();
    let left_out = items.len() - fit;
    items.truncate(fit);
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_counted() {
        let mut items = vec!["abc"; 10];
        assert_eq!(shorten(&mut items, 100), 0);
        assert_eq!((shorten(&mut items, 18), items.len()), (7, 3));
        assert_eq!((shorten(&mut items, 5), items.len()), (3, 0));
    }
}
